/** The programs by which keepalived and this agent check UDP and SCTP members; an image brings its own. Source: contract amphora-agent.md 5.7, dataplane.md 11. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Paths } from '../config.ts';
import { writeWhole } from '../files.ts';

export const HEALTH_CHECKER = 'amphora-health-checker';

/** Makes those that are missing. `agentProgram` is the file that this process runs. */
export function ensureCheckPrograms(paths: Paths, agentProgram: string): void {
  const udpCheck = `#!/bin/sh\nexec ${process.execPath} ${agentProgram} udp-check "$@"\n`;
  for (const [path, text] of [
    [join(paths.base, 'lvs/check/udp_check.sh'), udpCheck],
    [join(paths.programs, HEALTH_CHECKER), SCTP_CHECK],
  ] as const) {
    if (!existsSync(path)) writeWhole(path, text, 0o755);
  }
}

/** `sctp [-t SECONDS] ADDRESS PORT`. Node.js has no raw sockets; Perl is part of every Debian, and of most others. */
export const SCTP_CHECK = String.raw`#!/usr/bin/perl
# Sends an INIT and ends with 0 for an INIT ACK, 1 for an ABORT, 2 for nothing, 3 for anything else.
use strict;
use Socket qw(:DEFAULT :addrinfo);

my ($protocol, @args) = @ARGV;
exit 1 unless ($protocol // '') eq 'sctp';
my $timeout = 3;
(undef, $timeout) = splice @args, 0, 2 if $args[0] eq '-t';
my ($address, $port) = @args;
my ($error, $peer) = getaddrinfo($address, '', { flags => AI_NUMERICHOST, socktype => SOCK_RAW });
die "$address: $error\n" if $error;
socket(my $socket, $peer->{family}, SOCK_RAW, 132) or die "$!\n";
connect($socket, $peer->{addr}) or die "$address: $!\n";
my $source = 1024 + int rand 64512;
my $tag = 1 + int rand 0xfffffffe;

sub crc32c {
  my $crc = 0xffffffff;
  for my $byte (unpack 'C*', shift) {
    $crc ^= $byte;
    $crc = $crc & 1 ? $crc >> 1 ^ 0x82f63b78 : $crc >> 1 for 1 .. 8;
  }
  return $crc ^ 0xffffffff;
}

sub transmit {
  my ($their_tag, $chunk) = @_;
  my $packet = pack('n n N N', $source, $port, $their_tag, 0) . $chunk;
  substr($packet, 8, 4) = pack 'V', crc32c($packet);
  send $socket, $packet, 0;
}

transmit(0, pack 'C C n N N n n N', 1, 0, 20, $tag, 106496, 10, 65535, int rand 0xffffffff);
# Not until a second of the clock, which may be over at once.
$SIG{ALRM} = sub { exit 2 };
alarm($timeout > 1 ? $timeout : 1);
for (;;) {
  defined recv $socket, my $packet, 65535, 0 or next;
  # Of IPv4 a raw socket shows the header too.
  $packet = substr $packet, 4 * (15 & ord $packet) if $peer->{family} == AF_INET;
  next if length $packet < 16;
  my ($from, $to, $verification, undef, $type, undef, undef, $initiate) = unpack 'n n N N C C n N', $packet;
  next unless $from == $port && $to == $source && $verification == $tag;
  exit 1 if $type == 6;
  transmit($type == 2 ? $initiate : $tag, pack 'C C n', 6, $type == 2 ? 0 : 1, 4);
  exit($type == 2 ? 0 : 3);
}
`;
