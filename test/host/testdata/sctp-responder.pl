# Answers each SCTP INIT with a chunk of the given type, on any kernel, and prints the type of whatever it is sent.
# perl sctp-responder.pl ADDRESS PORT TYPE
use strict;
use Socket qw(:DEFAULT :addrinfo);
$| = 1;
my ($address, $port, $type) = @ARGV;
my (undef, $own) = getaddrinfo($address, '', { flags => AI_NUMERICHOST, socktype => SOCK_RAW });
socket(my $socket, $own->{family}, SOCK_RAW, 132) or die "$!\n";
bind($socket, $own->{addr}) or die "$!\n";
print "ready\n";

sub crc32c {
  my $crc = 0xffffffff;
  for my $byte (unpack 'C*', shift) {
    $crc ^= $byte;
    $crc = $crc & 1 ? $crc >> 1 ^ 0x82f63b78 : $crc >> 1 for 1 .. 8;
  }
  return $crc ^ 0xffffffff;
}

while (defined(my $peer = recv $socket, my $packet, 65535, 0)) {
  $packet = substr $packet, 4 * (15 & ord $packet) if $own->{family} == AF_INET;
  my ($from, $to, undef, undef, $got, undef, undef, $tag) = unpack 'n n N N C C n N', $packet;
  next unless $to == $port;
  print "$got\n";
  next unless $got == 1;
  my $answer = pack 'n n N N C C n N N n n N', $port, $from, $tag, 0, $type, 0, 20, 4711, 65535, 10, 10, 1;
  substr($answer, 8, 4) = pack 'V', crc32c($answer);
  send $socket, $answer, 0, $peer;
}
