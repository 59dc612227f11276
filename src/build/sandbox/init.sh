# Process 1 of a sandbox: makes it, starts the builder in it, reaps what the builder leaves, and takes everything down at its end.
# Where perl is, init.pl does that, by system calls.
#
# Runs in new namespaces (mount, pid, ipc, uts, net, cgroup; as a plain user also in a user namespace whose root it is) with the
# host's root directory, which it keeps: it must find its tools until the end. Its output is the builder's log, its errors are the
# daemon's. Descriptor 3 is a line to the daemon: orders come in, news go out, and its end means that nobody wants this any more.
#
# It is told by its environment, because a command line can be read by anybody:
#   SLOT         the directory of this build: root/ (to become /), fstab, command, holder (a FIFO)
#   MODE         root | user: who set the namespaces up
#   INNER        1: the builder gets a user namespace of its own; 0: it does not, where there are none
#   BUILD_UID    the builder's ids outside of that namespace
#   BUILD_GID
#   NETWORK      1: wait until the daemon has seen to the network
#   LAST LOADER LIBRARY LIBRARY2   files of the shell that becomes the builder; all but the first may be empty
#   LAST_OPTIONS its options
#   VARIABLES    a file with what a shell cannot set: `set -- NAME=VALUE …`; may be empty
#   CHECK        1: look whether the kernel takes the builder for a program
#   SH MOUNT IP HOSTNAME SETPRIV NSENTER UNSHARE PRLIMIT   programs; IP, HOSTNAME and PRLIMIT may be empty
#   LIMITS       options for PRLIMIT
set -eu

# /proc is still the host's: this is our number there, by which the daemon can end us.
read -r pid _ </proc/self/stat
echo "pid $pid" >&3

helpers=
if [ -n "$IP" ]; then
  "$IP" link set lo up 3<&- &
  helpers=$!
fi
if [ "$NETWORK" = 1 ]; then
  [ -z "$helpers" ] || wait $helpers
  helpers=
  echo network >&3
  read -r order <&3
  [ "$order" = go ]
fi

# Every line from the daemon asks the builder to end; no more lines: end it. (kill -1 spares only us and who says it. It is said
# again and again because we may be starting the next program just now.)
(
  while read -r _ <&3; do kill -TERM -1 || :; done
  while :; do
    kill -KILL -1 || :
    sleep 0.1
  done
) >/dev/null 2>&1 &

# A user namespace cannot be made once our root is no longer the real one: this process makes it now, and stops.
# Only its own end of the FIFO may be open for writing when we read: then its death is the end of that, and never waited for in vain.
if [ "$INNER" = 1 ]; then
  exec 9<>"$SLOT/holder" 8<"$SLOT/holder"
  "$UNSHARE" --user "$SH" -c 'echo; kill -STOP $$' >&9 3<&- 8<&- 9<&- &
  holder=$!
  exec 9<&-
fi
if [ "$MODE" = root ]; then
  echo localhost >/proc/sys/kernel/hostname
elif [ -n "$HOSTNAME" ]; then
  "$HOSTNAME" localhost 3<&- &
  helpers="$helpers $!"
fi
# -n and --no-canonicalize: nothing of the host is asked or written, and a thousand mounts take no longer than they have to.
"$MOUNT" -n --no-canonicalize --all --fstab "$SLOT/fstab" 3<&-
for helper in $helpers; do wait "$helper"; done
[ "$INNER" = 0 ] || read -r _ <&8

# Makes it the root of this mount namespace: from here on `.` is what the builder will call /, and / is still the host's.
cd "$SLOT/root"
"$MOUNT" -n --no-canonicalize --move . / 3<&-

if [ "$INNER" = 1 ]; then
  echo "1000 $BUILD_UID 1" >"./proc/$holder/uid_map"
  [ "$MODE" = root ] || echo deny >"./proc/$holder/setgroups"
  echo "100 $BUILD_GID 1" >"./proc/$holder/gid_map"
  exec 9<"./proc/$holder/ns/user"
  # It has the builder's user id and the host's root directory: it must be gone before the builder comes.
  kill -KILL "$holder"
  wait "$holder" 2>/dev/null || :
  enter="--user=/proc/self/fd/9 --root=. --wd=."
  if [ "$MODE" = root ]; then enter="$enter --setuid=1000 --setgid=100"; else enter="$enter --preserve-credentials"; fi
  join=$NSENTER
else
  enter="--root=. --wd=/ --setuid=$BUILD_UID --setgid=$BUILD_GID"
  join=$UNSHARE
fi

# The last link of the chain is the host's shell, started inside, where no file of the host exists, from open descriptors. Only it
# sees the builder's environment: whatever that makes a program do, it does as the builder.
exec 4<"$SLOT/command" 8<"$LAST"
last=/proc/self/fd/8
if [ -n "$LIBRARY2" ]; then
  exec 6<"$LIBRARY" 7<"$LIBRARY2"
  last="--preload /proc/self/fd/6:/proc/self/fd/7 $last"
elif [ -n "$LIBRARY" ]; then
  exec 6<"$LIBRARY"
  last="--preload /proc/self/fd/6 $last"
fi
if [ -n "$LOADER" ]; then
  exec 5<"$LOADER"
  last="/proc/self/fd/5 $last"
fi
# It leaves by a signal nobody else uses when there is no builder to become: 64 if it or what interprets it is missing, 63 if it must
# not be executed, 62 if it is no program. It looks for that itself: a shell has words of its own for these, and runs what is no
# program as a script. (bash counts shells in SHLVL, unless that is an array, which no program sees.)
# shellcheck disable=SC2016
start='
cd /build && unset OLDPWD
[ -z "${BASH_VERSION-}" ] || { unset SHLVL; declare -a SHLVL; }
. /proc/self/fd/4 2>/dev/null
exec 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-
[ -e "$1" ] || kill -64 $$
[ -f "$1" ] && [ -x "$1" ] || kill -63 $$
'
# shellcheck disable=SC2016
[ "$CHECK" = 0 ] || start=$start'[ ! -r "$1" ] || (
  IFS= read -r line <"$1"
  case $line in
  "#!"*)
    IFS=" 	"
    set -f
    set -- ${line#"#!"}
    [ -e "${1-}" ] || kill -64 $$ ;;
  "$(printf "\177ELF")"*) ;;
  *) kill -62 $$ ;;
  esac
) 2>/dev/null
'
# shellcheck disable=SC2016
start=$start'trap "case \$? in 127) kill -64 \$\$ ;; *) kill -62 \$\$ ;; esac" EXIT
exec "$@"'
set --
# Variables that no shell can set mean nothing to any program in between, either.
if [ -n "$VARIABLES" ]; then
  # shellcheck disable=SC1090
  . "$VARIABLES"
  set -- /usr/bin/env -i "$@"
fi
[ -z "$LIMITS" ] || set -- "$@" "$PRLIMIT" $LIMITS --
# Without a namespace of its own the builder could get root's powers back, were they not taken away for good.
[ "$INNER" = 1 ] || set -- "$@" "$SETPRIV" --bounding-set=-all,+sys_chroot,+setuid,+setgid --
set -- "$@" "$join" $enter -- $last $LAST_OPTIONS -c "$start" kiln

ended=$SLOT/ended
unset SLOT MODE INNER BUILD_UID BUILD_GID NETWORK LAST LOADER LIBRARY LIBRARY2 LAST_OPTIONS VARIABLES SH MOUNT IP HOSTNAME SETPRIV
unset CHECK NSENTER UNSHARE PRLIMIT LIMITS PATH LC_ALL PWD OLDPWD
echo started >&3
# Only a shell that waits in the foreground leaves SIGINT alone; and only its words tell a signal from a status above 128. News go
# out by descriptor 1 now: a plain user's builder can take away the right to open more.
exec 2>"$ended" 0>&1 1>&3
set +e
(exec "$@" 1>&0 2>&1 0</dev/null 3<&-)
code=$?
if [ -s "$ended" ]; then echo "signaled $code"; else echo "exited $code"; fi
exit 0
