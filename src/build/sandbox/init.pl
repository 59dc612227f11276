# Makes a sandbox, starts the builder in it, reaps what the builder leaves, and takes everything down at its end: by system calls of
# its own, in less than half the time that the programs of init.sh take, which does the same where perl or what it needs is missing.
#
# guard.ts has this run in a process that gains no privileges any more and has only the first four descriptors: 0 is empty, 1 takes the
# builder's log, 2 errors for the daemon; 3 is a line to the daemon: orders come in, news go out, and its end means that nobody wants
# this any more. No program of the host is started from here on, so the builder's variables reach none. Without modules: they would
# take longer to load than all this.
#
# It is told by its environment, because a command line can be read by anybody:
#   SLOT         the directory of this build: root/ (to become /), fstab, command (see command.ts)
#   MODE         root | user: who sets the namespaces up
#   BUILD_UID    the builder's ids outside of its own user namespace
#   BUILD_GID
#   NETWORK      1: wait until the daemon has seen to the network
#   CGROUPS      files to enter control groups by, each ended by a line's end
#   LIMITS       what else it may use: `--fsize=1000`, of which it takes --as, --fsize, --nproc
#   CALLS        numbers of system calls: `mount 165 …`

my ($slot, $mode, $uid, $gid) = @ENV{qw(SLOT MODE BUILD_UID BUILD_GID)};
my $root = "$slot/root";
my %call = split / /, $ENV{CALLS};
open my $daemon, "+<&=", 3 or die "control line: $!\n";

# Numbers go as they are, everything else as the address of its bytes.
sub call {
  my ($name, @arguments) = @_;
  return syscall($call{$name} + 0, @arguments) >= 0;
}

sub do_call { &call or die "$_[0]: $!\n" }

sub report { syswrite $daemon, "$_[0]\n" }

sub put {
  my ($file, $text) = @_;
  open my $out, "+<", $file or die "$file: $!\n";
  defined syswrite $out, $text or die "$file: $!\n";
}

# Before there is a namespace of control groups.
put($_, "0") for split /\n/, $ENV{CGROUPS};

# Mounts, control groups, host name, IPC, processes, network; as a plain user one of users, too, with the user as its root.
my ($own_uid, $own_gid) = ($>, $) + 0);
do_call("unshare", 0x6e020000 | ($mode eq "user" ? 0x10000000 : 0));
if ($mode eq "user") {
  put("/proc/self/setgroups", "deny");
  put("/proc/self/uid_map", "0 $own_uid 1");
  put("/proc/self/gid_map", "0 $own_gid 1");
}
my $init = fork // die "fork: $!\n";
if ($init) {
  # Somebody has to wait for process 1: the end of both is the end of all.
  waitpid $init, 0;
  exit($? == 0 ? 0 : 1);
}
# Process 1: it dies with who waits for it.
do_call("prctl", 1, 9);
# /proc is still the host's: this is our number there, by which the daemon can end us.
report("pid " . readlink "/proc/self");
# Nothing that is mounted from here on is seen by others.
do_call("mount", "none", "/", 0, 0x44000, 0);
socket my $any, 2, 2, 0 or die "socket: $!\n";
my $interface = pack "a16 s x22", "lo", 0x41;
ioctl $any, 0x8914, $interface or die "loopback: $!\n";
close $any;
do_call("sethostname", "localhost", 9);
if ($ENV{NETWORK}) {
  report("network");
  sysread $daemon, my $order, 3 or exit 1;
}

# Every line from the daemon asks the builder to end; no more lines: end it. (kill -1 spares only us and who says it. It is said
# again and again because we may be starting the builder just now.)
if (!(fork // die "fork: $!\n")) {
  close STDOUT;
  close STDERR;
  while (sysread $daemon, my $order, 4096) { kill TERM => -1 }
  for (;;) {
    kill KILL => -1;
    select undef, undef, undef, 0.1;
  }
}

# How the launcher is told, by signals nobody else uses, that there is no builder: it or what interprets it is missing (64), or must not
# be executed (63); all else is 62. By the kernel's errors.
my %refusals = (2 => 64, 20 => 64, 36 => 64, 40 => 64, 13 => 63);

my %flags = (ro => 1, nosuid => 2, nodev => 4, noexec => 8, bind => 0x1000, rbind => 0x5000);
open my $fstab, "<", "$slot/fstab" or die "$slot/fstab: $!\n";
while (<$fstab>) {
  chomp;
  my ($source, $target, $type, $options) = map { s/\\([0-7]{3})/chr oct $1/ger } split / /;
  my ($flags, @data) = (0);
  for my $option (split /,/, $options) {
    if (defined $flags{$option}) { $flags |= $flags{$option} }
    else { push @data, $option }
  }
  my $data = join ",", @data;
  my $is_bind = $flags & 0x1000;
  call("mount", $source, $target, $type, $flags, $data) or die "mount $target: $!\n";
  # A bind mount takes its flags in a second step only.
  my $own = $flags & 0xf;
  next if !$is_bind || !$own;
  call("mount", $source, $target, $type, $own | 0x1020, 0) or die "mount $target: $!\n";
}
close $fstab;
chdir $root or die "$root: $!\n";

# The builder's words: how many arguments, the arguments, the variables, each ended by a zero byte.
open my $command, "<:raw", "$slot/command" or die "$slot/command: $!\n";
my ($count, @words) = split /\0/, do { local $/; <$command> }, -1;
pop @words;
close $command;
my @arguments = splice @words, 0, $count;

# Both are closed by the start of a program, so that nothing of them reaches the builder.
pipe my $news, my $trouble or die "pipe: $!\n";
pipe my $orders, my $go or die "pipe: $!\n";
my $builder = fork // die "fork: $!\n";
if (!$builder) {
  eval { become_builder() };
  syswrite $trouble, $@;
  exit 1;
}
close $_ for $trouble, $orders;
sysread $news, my $ready, 1 or die "the builder's process was ended\n";
die $ready, <$news> if $ready ne "+";
put("./proc/$builder/uid_map", "1000 $uid 1");
put("./proc/$builder/setgroups", "deny") if $mode eq "user";
put("./proc/$builder/gid_map", "100 $gid 1");
# From here on `.` is what the builder will call /, and / is still the host's.
do_call("mount", ".", "/", 0, 0x2000, 0);
report("started"); # before the builder can say a word
syswrite $go, "+";
my $fault = <$news>;
if (defined $fault) {
  if ($fault !~ /^\d+$/) {
    report("failed");
    die $fault;
  }
  report("signaled " . (128 + ($refusals{$fault} // 62)));
  exit 0;
}
until ((my $ended = waitpid -1, 0) == $builder) { $ended > 0 or die "wait: $!\n" }
report($? & 127 ? "signaled " . (128 + ($? & 127)) : "exited " . ($? >> 8));
exit 0;

# A user namespace cannot be made once our root is no longer the real one, and is of no use before process 1 has said who is in it.
sub become_builder {
  do_call("unshare", 0x10000000);
  close $_ for $news, $go;
  setpgrp; # what it does to its own group is not done to who waits for process 1
  syswrite $trouble, "+";
  sysread $orders, my $order, 1 or exit 1;
  chroot "." or die "chroot: $!\n";
  chdir "/build" or die "/build: $!\n";
  limit(4, 0); # no core files
  my %resources = (fsize => 1, nproc => 6, as => 9);
  while ($ENV{LIMITS} =~ /--(\w+)=(\d+)/g) { limit($resources{$1}, $2) }
  do_call("setgroups", 0, 0) if $mode eq "root";
  do_call("setresgid", 100, 100, 100);
  do_call("setresuid", 1000, 1000, 1000);
  umask 022;
  $SIG{FPE} = "DEFAULT"; # which perl ignores
  close $daemon;
  open STDERR, ">&", STDOUT or die "standard error: $!\n";
  my ($program, $arguments, $variables) = ($arguments[0], map { pack "p*", @$_, undef } \@arguments, \@words);
  call("execve", $program, $arguments, $variables);
  syswrite $trouble, $! + 0;
  exit 1;
}

# Both the soft and the hard one.
sub limit {
  my ($resource, $value) = @_;
  my $both = pack "QQ", $value, $value;
  do_call("prlimit", 0, $resource, $both, 0);
}
