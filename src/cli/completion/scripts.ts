/**
 * The shells' sides of completion. Each asks `kiln complete -- WORDS…`, which answers with a first line (`words`, `files PREFIX` or
 * `directories PREFIX`) and, for words, a candidate a line with its description behind a tab.
 */

export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

/** The script for a shell, to be sourced. */
export function completionScript(shell: Shell): string {
  return scripts[shell];
}

const scripts: Readonly<Record<Shell, string>> = {
  // Bash splits words at "=" and puts in what comes behind it, so there the candidates lose what stands before it.
  bash: `# kiln completion for bash. To use it now: source <(kiln completion bash)
_kiln() {
  local words=() word line mode current
  COMPREPLY=()
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD}"; do
    local last=$((\${#words[@]} - 1))
    if ((last >= 0)) && [[ ($word == "=" && \${words[last]} == --*) || \${words[last]} == --*= ]]; then
      words[last]+=$word
    else
      words+=("$word")
    fi
  done
  current=\${words[\${#words[@]} - 1]-}
  while IFS= read -r line; do
    if [[ -z \${mode-} ]]; then
      mode=\${line%% *}
      case $mode in
        files) compopt -o default -o bashdefault 2>/dev/null ;;
        directories) compopt -o dirnames 2>/dev/null ;;
      esac
      continue
    fi
    line=\${line%%$'\\t'*}
    [[ $current == --*=* && $COMP_WORDBREAKS == *=* ]] && line=\${line#*=}
    COMPREPLY+=("$line")
  done < <("\${COMP_WORDS[0]}" complete -- "\${words[@]}" 2>/dev/null)
}
complete -F _kiln kiln
`,
  zsh: `#compdef kiln
# kiln completion for zsh. To use it now: source <(kiln completion zsh)
_kiln() {
  local -a lines described
  local line mode
  lines=("\${(@f)$("\${words[1]}" complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  mode=\${lines[1]%% *}
  shift lines
  if [[ \${words[CURRENT]} == --*=* ]]; then
    compset -P '*='
    lines=("\${(@)lines#--*=}")
  fi
  case $mode in
    files) _files ;;
    directories) _files -/ ;;
    words)
      for line in $lines; do
        if [[ $line == *$'\\t'* ]]; then
          described+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
        else
          described+=("\${line//:/\\\\:}")
        fi
      done
      _describe -V kiln described
      ;;
  esac
}
if [[ \${funcstack[1]} == _kiln ]]; then
  _kiln "$@"
else
  compdef _kiln kiln
fi
`,
  fish: `# kiln completion for fish. To use it now: kiln completion fish | source
function __kiln_complete
  set -l words (commandline -opc)
  set -l current (commandline -ct)
  set -l lines ($words[1] complete -- $words[2..-1] "$current" 2>/dev/null)
  set -l mode (string split -m 1 ' ' -- $lines[1])
  set -l prefix "$mode[2]"
  switch "$mode[1]"
    case files
      for path in (__fish_complete_path (string replace -- "$prefix" '' "$current"))
        printf '%s%s\\n' $prefix $path
      end
    case directories
      for path in (__fish_complete_directories (string replace -- "$prefix" '' "$current") '')
        printf '%s%s\\n' $prefix $path
      end
    case words
      printf '%s\\n' $lines[2..-1]
  end
end
complete -c kiln -f -a '(__kiln_complete)'
`,
};
