/** Patterns of file names, as `.gitignore` files and the options of `sources()` write them. */

export interface GlobOptions {
  /** Whether `{a,b}` means either; in `.gitignore` files it does not. */
  readonly braces: boolean;
}

/**
 * A pattern over whole relative paths with `/`. `*` and `?` match within one name, also a leading dot; `**` as a whole name
 * matches any number of folders, at the end everything inside; `[a-z]`, `[!a-z]`; `\` takes the meaning from the next character.
 *
 * @throws SyntaxError for an open bracket or brace, an extended pattern like `!(x)`, or a `\` at the end.
 */
export function globExpression(glob: string, options: GlobOptions): RegExp {
  return new RegExp(`^(?:${new Translation(glob, options).all()})$`, "su");
}

class Translation {
  readonly #glob: string;
  readonly #braces: boolean;
  #at = 0;

  constructor(glob: string, { braces }: GlobOptions) {
    this.#glob = glob;
    this.#braces = braces;
  }

  all(): string {
    let pattern = "";
    while (this.#at < this.#glob.length) pattern += this.#next();
    return pattern;
  }

  #next(): string {
    const folders = this.#takeFolders();
    if (folders !== undefined) return folders;
    const [character = ""] = this.#glob.slice(this.#at);
    if (this.#braces && /^[!?*+@]\(/.test(this.#glob.slice(this.#at))) {
      throw new SyntaxError(`patterns like ${character}(…) are not known here`);
    }
    this.#at += character.length;
    switch (character) {
      case "*":
        return "[^/]*";
      case "?":
        return "[^/]";
      case "[":
        return this.#class();
      case "\\":
        return this.#escaped();
      case "{":
        return this.#braces ? this.#alternatives() : literal(character);
      default:
        return literal(character);
    }
  }

  /** `**` where it is a whole name. */
  #takeFolders(): string | undefined {
    const rest = this.#glob.slice(this.#at);
    if (this.#at === 0 || this.#glob[this.#at - 1] === "/") {
      const [taken] = /^(?:\*\*\/)+(?!$)/.exec(rest) ?? [""];
      this.#at += taken.length;
      if (taken !== "") return "(?:.*/)?";
      if (rest === "**") {
        this.#at += rest.length;
        return ".+";
      }
    }
    return undefined;
  }

  #class(): string {
    const [text, negation = "", members = ""] =
      /^([!^]?)(\]?(?:\[:[a-z]+:\]|\\.|[^\]\\])*)\]/su.exec(this.#glob.slice(this.#at)) ?? [];
    if (text === undefined) throw new SyntaxError("a [ is not closed");
    this.#at += text.length;
    const named = members.replaceAll(/\[:([a-z]+):\]/g, (_, name: string) => {
      const known = namedClasses[name];
      if (known === undefined) throw new SyntaxError(`there is no class [:${name}:]`);
      return known;
    });
    const escaped = named.replaceAll(
      /\\(.)|([[\]^])|\\/gsu,
      (_, quoted?: string, special?: string) => inClass(quoted ?? special ?? "\\"),
    );
    // Whatever the class says, it matches no slash.
    return negation === "" ? `(?!/)[${escaped}]` : `[^/${escaped}]`;
  }

  #escaped(): string {
    const [character] = this.#glob.slice(this.#at);
    if (character === undefined) throw new SyntaxError("there is nothing behind the \\ at the end");
    this.#at += character.length;
    return literal(character);
  }

  #alternatives(): string {
    const found = [""];
    for (;;) {
      const [character] = this.#glob.slice(this.#at);
      if (character === undefined) throw new SyntaxError("a { is not closed");
      if (character === "}" || character === ",") {
        this.#at++;
        if (character === "}") break;
        found.push("");
      } else {
        found.push(`${found.pop() ?? ""}${this.#next()}`);
      }
    }
    return `(?:${found.join("|")})`;
  }
}

const namedClasses: Readonly<Record<string, string>> = {
  alnum: "a-zA-Z0-9",
  alpha: "a-zA-Z",
  blank: " \\t",
  digit: "0-9",
  lower: "a-z",
  space: "\\s",
  upper: "A-Z",
  xdigit: "0-9a-fA-F",
};

function literal(character: string): string {
  return /[\\^$.*+?()[\]{}|/]/.test(character) ? `\\${character}` : character;
}

function inClass(character: string): string {
  return /[\\^\]-]/.test(character) || character === "[" ? `\\${character}` : character;
}
