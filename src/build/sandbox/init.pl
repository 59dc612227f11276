# Makes a sandbox, starts the builder in it, reaps what the builder leaves, and takes everything down at its end: by system calls of
# its own, in less than half the time that the programs of init.sh take, which does the same where perl or what it needs is missing.
#
# starter.pl loads this once; what is done for a sandbox is done in its process 1, a copy of the starter. No program of the host is
# started from there on, so the builder's variables reach none. The line between the two: orders come in, news go out, and its end
# means that nobody wants this any more.
#
# An order to make one has, after its number, how many arguments there are, the program's name among them, these, how many variables
# and these, and then names and what they stand for:
#   SLOT         the directory of this build: root/ (to become /) and filter
#   MOUNTS       what to mount, as in /etc/fstab
#   OUTPUT       a FIFO for the builder's log
#   MODE         root | user: who sets the namespaces up
#   BUILD_UID    the builder's ids outside of its own user namespace
#   BUILD_GID
#   NETWORK      1: wait until the daemon has seen to the network
#   CGROUPS      files to enter control groups by, each ended by a line's end
#   LIMITS       what else it may use: `--fsize=1000`, of which it takes --as, --fsize, --nproc

our (%call, %orders);

my ($line, %told, @arguments, @variables);

$orders{sandbox} = sub {
  my ($id, @words) = @_;
  @arguments = splice @words, 0, shift @words;
  @variables = splice @words, 0, shift @words;
  %told = @words;
  my ($mine, $pid);
  if (socketpair $mine, $line, 1, 1, 0) {
    # A namespace of processes; as a plain user one of users, too, with the user as its root.
    ($told{OWN_UID}, $told{OWN_GID}) = ($>, $) + 0);
    $pid = call("clone", 0x20000011 | ($told{MODE} eq "user" ? 0x10000000 : 0), 0, 0, 0, 0);
  }
  if (!defined $pid || $pid < 0) {
    tell_daemon($id, "complaint new process: $!");
    tell_daemon($id, "closed 0");
    return;
  }
  if ($pid == 0) {
    close $mine;
    forget_all();
    exit 0 if eval { be_first(); 1 };
    report("complaint $@");
    exit 1;
  }
  close $line;
  tell_daemon($id, "pid $pid");
  my $after = sub { tell_daemon($_[0], "closed " . ($_[2] & 127)) };
  begin($id, pid => $pid, line => $mine, rest => "", after => $after);
};

sub report { syswrite $line, "$_[0]\n" }

sub put {
  my ($file, $text) = @_;
  open my $out, "+<", $file or die "$file: $!\n";
  defined syswrite $out, $text or die "$file: $!\n";
}

# Process 1. It dies with the starter, gains no privileges any more, and leaves the keyring of the daemon, which may hold what a person
# logged in with; its keys have names that /proc/keys shows. Its system calls are those that builders may make.
sub be_first {
  do_call("prctl", 1, 9);
  if ($told{MODE} eq "user") {
    put("/proc/self/setgroups", "deny");
    put("/proc/self/uid_map", "0 $told{OWN_UID} 1");
    put("/proc/self/gid_map", "0 $told{OWN_GID} 1");
  }
  # Before there is a namespace of control groups.
  put($_, "0") for split /\n/, $told{CGROUPS};
  do_call("prctl", 38, 1, 0, 0, 0);
  my ($header, $sets) = (pack("LL", 0x20080522, 0), "\0" x 24);
  syscall($call{capget} + 0, $header, $sets) == 0 or die "capget: $!\n"; # which writes into $sets
  my @sets = unpack "L6", $sets;
  @sets[2, 5] = (0, 0); # what programs would inherit
  do_call("capset", $header, pack "L6", @sets);
  call("keyctl", 1, 0);
  my $filter = content("$told{SLOT}/filter");
  do_call("prctl", 22, 2, pack "S x![P] P", length($filter) / 8, $filter);
  # Mounts, control groups, host name, IPC, network.
  do_call("unshare", 0x4e020000);
  # Nothing that is mounted from here on is seen by others.
  do_call("mount", "none", "/", 0, 0x44000, 0);
  socket my $any, 2, 2, 0 or die "socket: $!\n";
  my $interface = pack "a16 s x22", "lo", 0x41;
  ioctl $any, 0x8914, $interface or die "loopback: $!\n";
  close $any;
  do_call("sethostname", "localhost", 9);
  if ($told{NETWORK}) {
    report("network");
    sysread $line, my $order, 3 or exit 1;
  }
  end_when_told();
  mount_all();
  run_builder();
}

# Every line from the daemon asks the builder to end; no more lines: end it. (kill -1 spares only us and who says it. It is said
# again and again because we may be starting the builder just now.)
sub end_when_told {
  return if fork // die "fork: $!\n";
  while (sysread $line, my $order, 4096) { kill TERM => -1 }
  for (;;) {
    kill KILL => -1;
    select undef, undef, undef, 0.1;
  }
}

my %flags = (ro => 1, nosuid => 2, nodev => 4, noexec => 8, bind => 0x1000, rbind => 0x5000);

sub mount_all {
  for (split /\n/, $told{MOUNTS}) {
    my ($source, $target, $type, $options) = map { s/\\([0-7]{3})/chr oct $1/ger } split / /;
    my ($flags, @data) = (0);
    for my $option (split /,/, $options) {
      if (defined $flags{$option}) { $flags |= $flags{$option} }
      else { push @data, $option }
    }
    my $data = join ",", @data;
    my $is_bind = $flags & 0x1000;
    call("mount", $source, $target, $type, $flags, $data) >= 0 or die "mount $target: $!\n";
    # A bind mount takes its flags in a second step only.
    my $own = $flags & 0xf;
    next if !$is_bind || !$own;
    call("mount", $source, $target, $type, $own | 0x1020, 0) >= 0 or die "mount $target: $!\n";
  }
}

# How the launcher is told, by signals nobody else uses, that there is no builder: it or what interprets it is missing (64), or must not
# be executed (63); all else is 62. By the kernel's errors.
my %refusals = (2 => 64, 20 => 64, 36 => 64, 40 => 64, 13 => 63);

sub run_builder {
  chdir "$told{SLOT}/root" or die "$told{SLOT}/root: $!\n";
  # Both are closed by the start of a program, so that nothing of them reaches the builder.
  pipe my $news, my $trouble or die "pipe: $!\n";
  pipe my $orders, my $go or die "pipe: $!\n";
  my $builder = fork // die "fork: $!\n";
  if (!$builder) {
    close $_ for $news, $go;
    eval { become_builder($trouble, $orders) };
    syswrite $trouble, $@;
    exit 1;
  }
  close $_ for $trouble, $orders;
  sysread $news, my $ready, 1 or die "the builder's process was ended\n";
  die $ready, <$news> if $ready ne "+";
  put("./proc/$builder/uid_map", "1000 $told{BUILD_UID} 1");
  put("./proc/$builder/setgroups", "deny") if $told{MODE} eq "user";
  put("./proc/$builder/gid_map", "100 $told{BUILD_GID} 1");
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
    return;
  }
  until ((my $ended = waitpid -1, 0) == $builder) { $ended > 0 or die "wait: $!\n" }
  report($? & 127 ? "signaled " . (128 + ($? & 127)) : "exited " . ($? >> 8));
}

# A user namespace cannot be made once our root is no longer the real one, and is of no use before process 1 has said who is in it.
sub become_builder {
  my ($trouble, $orders) = @_;
  sysopen my $output, $told{OUTPUT}, 1 or die "$told{OUTPUT}: $!\n";
  open STDOUT, ">&", $output or die "standard output: $!\n";
  open STDERR, ">&", $output or die "standard error: $!\n";
  close $output;
  do_call("unshare", 0x10000000);
  setpgrp; # what it does to its own group is not done to process 1
  syswrite $trouble, "+";
  sysread $orders, my $order, 1 or exit 1;
  chroot "." or die "chroot: $!\n";
  chdir "/build" or die "/build: $!\n";
  limit(4, 0); # no core files
  my %resources = (fsize => 1, nproc => 6, as => 9);
  while ($told{LIMITS} =~ /--(\w+)=(\d+)/g) { limit($resources{$1}, $2) }
  do_call("setgroups", 0, 0) if $told{MODE} eq "root";
  do_call("setresgid", 100, 100, 100);
  do_call("setresuid", 1000, 1000, 1000);
  close $line;
  my ($program, @lists) = ($arguments[0], map { pack "p*", @$_, undef } \@arguments, \@variables);
  call("execve", $program, @lists);
  syswrite $trouble, $! + 0;
  exit 1;
}

# Both the soft and the hard one.
sub limit {
  my ($resource, $value) = @_;
  my $both = pack "QQ", $value, $value;
  do_call("prlimit", 0, $resource, $both, 0);
}

1;
