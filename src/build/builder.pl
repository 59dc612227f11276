# Starts builders without a sandbox, and ends what they leave: their processes are found as process-tree.ts finds them, which see.
#
# An order to start one has, after its number: a FIFO for its output, the build directory, a user and a group or nothing, how many
# arguments there are, the program's name among them, these, and variables. What is told when there is no builder: `fault` and an error
# of the kernel, or `failed` and why. Else how it ended, `ended` with an exit status and a signal, when no process is left that can be
# found, or before that `left` and who is, as often as one asks by the order `look`, until `abandon`. `signal` is sent to its process group.
#
# The order `next` has a number before all that, and begins when fewer builders than that run: as soon as another one has ended, that is, without the daemon's being
# asked. `begun` is told then. One that is sent a signal before is `dropped`.

our (%call, %jobs, %orders, @at_end);

# Orders that wait for others to end, each with the number of those that may run.
my @next;

my ($dup3, $setsid, $execve) = map { $call{$_} + 0 } qw(dup3 setsid execve);

# Builders that have ended and left something, by the number of their order.
my %left;

$orders{next} = sub {
  my ($id, $most, @words) = @_;
  push @next, [$most, $id, @words];
  begin_next();
};

$orders{builder} = \&begin_builder;

sub begin_builder {
  my ($id, $output, $directory, $uid, $gid, $count, @words) = @_;
  my @arguments = splice @words, 0, $count;
  my ($program, $arguments, $variables) = ($arguments[0], map { pack "p*", @$_, undef } \@arguments, \@words);
  my $since = now();
  my ($pid, $news);
  my $fault = eval {
    # Without waiting for a reader: where there is none the daemon has died. The builder itself may wait until somebody reads.
    sysopen my $out, $output, 04001 or die "$output: $!\n";
    fcntl $out, 4, 0 or die "$output: $!\n"; # F_SETFL
    pipe $news, my $trouble or die "pipe: $!\n";
    my $fd = fileno $out;
    $pid = fork // die "fork: $!\n";
    if (!$pid) {
      # With as little as can be, and as plainly: each page of memory that is touched is copied. The start of a program closes what is
      # open here, and has signals mean what they mean.
      my $ours = "output and session";
      if (syscall($dup3, $fd, 1, 0) == 1 && syscall($dup3, $fd, 2, 0) == 2 && syscall($setsid) > 0) {
        $ours = "user";
        if (!chdir $directory) { $ours = "" }
        elsif ($uid eq "" || become_user($uid, $gid)) {
          $ours = "";
          syscall $execve, $program, $arguments, $variables;
        }
      }
      syswrite $trouble, $ours eq "" ? $! + 0 . "\n" : "$ours: $!\n";
      exit 1;
    }
    close $trouble;
    <$news>; # until it is another program, which has nothing of this one
  } // ($@ eq "" ? undef : $@);
  if (defined $fault) {
    waitpid $pid, 0 if $pid;
    chomp $fault;
    tell_daemon($id, $fault =~ /^\d+$/ ? "fault $fault" : "failed $fault");
    tell_daemon($id, "closed 0");
    begin_next();
    return;
  }
  my %marks = (leader => $pid, since => $since, directory => $directory, uid => $uid);
  begin($id, pid => $pid, %marks, after => sub {
    my ($id, $job, $status) = @_;
    $left{$id} = { %marks, status => $status };
    kill KILL => -$pid;
    look($id);
  });
}

$orders{signal} = sub {
  my ($id, $signal) = @_;
  kill $signal => -$jobs{$id}{pid} if $jobs{$id};
  my ($waits) = grep { $next[$_][1] == $id } keys @next;
  return if !defined $waits;
  splice @next, $waits, 1;
  tell_lines("$id dropped", "$id closed 0");
};

$orders{look} = \&look;

# Nobody waits any more for what it has left to go.
$orders{abandon} = sub {
  my ($id) = @_;
  begin_next("$id closed 0") if delete $left{$id};
};

push @at_end, sub {
  $left{$_} = $jobs{$_} for keys %jobs;
  kill KILL => map { -$_->{leader} } values %left;
  # The longest that anybody would have waited.
  for (1 .. 1000) {
    my @found = map { find_left($_) } values %left or last;
    kill KILL => @found;
    select undef, undef, undef, 0.01;
  }
};

# 1, or nothing and the error in `$!`.
sub become_user {
  my ($uid, $gid) = map { $_ + 0 } @_;
  return call("setgroups", 0, 0) >= 0 && call("setresgid", ($gid) x 3) >= 0 && call("setresuid", ($uid) x 3) >= 0;
}

# Kills what a builder has left.
sub look {
  my ($id) = @_;
  return if !$left{$id};
  my @found = find_left($left{$id});
  if (@found) {
    kill KILL => @found;
    tell_daemon($id, "left @found");
    return;
  }
  my $status = delete($left{$id})->{status};
  begin_next("$id ended " . ($status >> 8) . " " . ($status & 127), "$id closed 0");
}

# Begins what may begin now, and tells of that, after these lines, before it takes the time.
sub begin_next {
  my @lines = @_;
  while (@next && keys(%jobs) + keys(%left) < $next[0][0]) {
    my (undef, $id, @words) = @{ shift @next };
    tell_lines(splice(@lines), "$id begun");
    begin_builder($id, @words);
  }
  tell_lines(@lines) if @lines;
}

# Living processes that carry one of the marks.
sub find_left {
  my ($marks) = @_;
  my %leaders = map { $_->{leader} => 1 } values %jobs, values %left;
  return grep { belongs($_, $marks, \%leaders) } candidates($marks);
}

# A quick look that spares most processes a closer one: ids are given out in order, and begin anew after the highest.
sub candidates {
  my ($marks) = @_;
  my ($first, $last) = ($marks->{leader}, (split / /, content("/proc/loadavg"))[4]);
  my $count = $last - $first + 1;
  my $is_young = now() - $marks->{since} < 1; # so that ids cannot have been given out again since its start
  return $first .. $last if $is_young && $count > 0 && $count <= 16;
  opendir my $proc, "/proc" or return ();
  my @pids = grep { /^[1-9]/ && $_ != $$ && $_ != getppid } readdir $proc;
  return @pids if !$is_young;
  return grep { $count > 0 ? $_ >= $first && $_ <= $last : $_ >= $first || $_ <= $last } @pids;
}

sub belongs {
  my ($pid, $marks, $leaders) = @_;
  my ($group, $session, $began) = life_of($pid) or return 0;
  my $leader = $marks->{leader};
  return 1 if $marks->{uid} ne "" && ((stat "/proc/$pid")[4] // "") eq $marks->{uid};
  return 1 if $group == $leader || $session == $leader;
  return 0 if $began < int(100 * $marks->{since});
  return 0 if $leaders->{$session};
  my $directory = $marks->{directory};
  return 1 if index(content("/proc/$pid/environ"), "=$directory") >= 0;
  my $place = readlink("/proc/$pid/cwd") // "";
  return $place eq $directory || index($place, "$directory/") == 0;
}

# Group, session and start in clock ticks of a process; nothing when it is gone or dead.
sub life_of {
  my ($pid) = @_;
  # "pid (name) state ppid group session …"; the name may hold anything, also parentheses.
  my @fields = split / /, content("/proc/$pid/stat") =~ s/.*\) //sr;
  return if @fields < 20 || $fields[0] =~ /[ZX]/;
  return @fields[2, 3, 19];
}

# Seconds since the machine was started, by the clock that says when a process was.
sub now {
  my $time = "\0" x 16;
  syscall $call{clock_gettime} + 0, 7, $time;
  my ($seconds, $nanoseconds) = unpack "qq", $time;
  return $seconds + $nanoseconds / 1e9;
}

1;
