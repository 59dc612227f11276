# A small program beside the daemon that starts builders for it: starting a program copies the memory map of the process that starts
# it, and of all processes this one has the least to copy.
#
# It takes orders from descriptor 3 and tells there what becomes of them. The end of that is the end of the daemon: then it ends whatever
# it has started, and itself. An order is four bytes that say how long it is, and words, each ended by a zero byte: what is to be done,
# a number for it, and what else there is to know. What it tells are lines that begin with such a number. starter.ts is the other end.
#
# Its arguments are numbers of system calls, `mount 165 …`, and files with the kinds of orders: see init.pl. Without modules: they would
# take longer to load than all this.

our %call = split / /, shift;
syscall 436, 4, 0xffffffff, 0; # close_range: what the daemon was given must not reach a builder
open our $daemon, "+<&=", 3 or die "line to the daemon: $!\n";
umask 022;
chdir "/";
# What ends the daemon must not end this before the builders. As handlers: what is ignored would stay so in a builder.
$SIG{$_} = sub { } for qw(INT TERM HUP PIPE);
$SIG{FPE} = "DEFAULT"; # which perl ignores

# Numbers go as they are, everything else as the address of its bytes.
sub call {
  my ($name, @arguments) = @_;
  return syscall $call{$name} + 0, @arguments;
}

sub do_call { &call >= 0 or die "$_[0]: $!\n" }

sub tell_daemon { tell_lines("$_[0] $_[1]") }

sub tell_lines { syswrite $daemon, join "", map { "$_\n" } @_ }

# What is under way, by number: its first process; `ended`, which can be read when that has ended; `line` to it, if there is one; and
# what is to be done `after` its end; and at the end of all.
our (%jobs, @at_end);

# Of a process that was just started.
sub begin {
  my ($id, %job) = @_;
  my $fd = syscall 434, $job{pid} + 0, 0; # pidfd_open
  open $job{ended}, "<&=", $fd or die "process $job{pid}: $!\n";
  $jobs{$id} = \%job;
}

# All of a file; empty when there is none for us.
sub content {
  my ($file) = @_;
  open my $in, "<:raw", $file or return "";
  local $/;
  return scalar <$in> // "";
}

# For a process that was just made: nothing of the others, and signals mean what they mean.
sub forget_all {
  undef %jobs;
  close $daemon;
  $SIG{$_} = "DEFAULT" for qw(INT TERM HUP PIPE);
}

our %orders = (
  line => sub {
    my ($id, $text) = @_;
    my $line = $jobs{$id} && $jobs{$id}{line} or return;
    syswrite $line, "$text\n";
  },
  # Tells `heard` after all that was said on the line before now.
  hear => sub {
    my ($id) = @_;
    my $job = $jobs{$id} or return;
    my $ready = "";
    vec($ready, fileno $job->{line}, 1) = 1 if $job->{line};
    hear($id, $job) if $job->{line} && select($ready, undef, undef, 0) > 0;
    tell_daemon($id, "heard");
  },
  release => sub {
    my ($id) = @_;
    my $line = $jobs{$id} && $jobs{$id}{line} or return;
    shutdown $line, 1;
  },
  kill => sub { kill KILL => $jobs{$_[0]}{pid} if $jobs{$_[0]} },
);
for my $file (@ARGV) { do $file or die $@ || "$file: $!\n" }

# Passes on what comes by the line of a job, until it ends.
sub hear {
  my ($id, $job) = @_;
  sysread $job->{line}, $job->{rest}, 4096, length $job->{rest} or delete $job->{line};
  tell_daemon($id, $1) while $job->{rest} =~ s/^(.*)\n//;
}

sub see_end {
  my ($id, $job) = @_;
  waitpid $job->{pid}, 0;
  my $status = $?;
  hear($id, $job) while $job->{line};
  delete $jobs{$id};
  $job->{after}->($id, $job, $status);
}

my $received = "";
for (;;) {
  my $ready = "";
  vec($ready, $_, 1) = 1 for map { fileno $_ } $daemon, map { ($_->{ended}, $_->{line} || ()) } values %jobs;
  next if select($ready, undef, undef, undef) < 0;
  for my $id (keys %jobs) {
    my $job = $jobs{$id};
    if (vec $ready, fileno $job->{ended}, 1) { see_end($id, $job) }
    elsif ($job->{line} && vec $ready, fileno $job->{line}, 1) { hear($id, $job) }
  }
  next if !vec $ready, fileno $daemon, 1;
  sysread $daemon, $received, 65536, length $received or last;
  while (length $received >= 4) {
    my $length = 4 + unpack "L", $received;
    last if length $received < $length;
    my ($order, @words) = split /\0/, substr($received, 4, $length - 4), -1;
    pop @words;
    substr $received, 0, $length, "";
    $orders{$order}->(@words);
  }
}
kill KILL => map { $_->{pid} } values %jobs;
$_->() for @at_end;
