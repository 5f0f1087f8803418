# A guest of one sector that does what it is told by letters on its serial port. Assembled:
#   as --32 -o guest.o boot_sector.s && ld -m elf_i386 -Ttext 0x7c00 --oformat binary -o guest.bin guest.o
# boot_sector.py carries the result.
#
#   says K at its start, B when its power button is pressed, and repeats each letter it reads
#   w  begin (or end) to write: a counter into sectors 1 to 64 in turn, on the first disk, then on the second,
#      and say . after the last of them
#   o  power off    p  panic    r  reboot    i  ignore the power button from now on
.code16
.globl _start
_start:
  ljmp $0, $main
main:
  xor %ax,%ax
  mov %ax,%ds
  mov %ax,%es
  mov %ax,%ss
  mov $0x7c00,%sp
  mov $0x602,%dx                # PM1_EN: without it the power button does not show in PM1_STS
  mov $0x100,%ax
  out %ax,%dx
  mov $'K',%al
  call put
again:
  mov $0x600,%dx                # PM1_STS
  in %dx,%ax
  test $1,%ah
  jnz pressed
  mov $0x3fd,%dx                # is there a letter?
  in %dx,%al
  test $1,%al
  mov $0,%al
  jz idle
  mov $0x3f8,%dx
  in %dx,%al
  call put
  cmp $'o',%al
  je off
  cmp $'p',%al
  je panic
  cmp $'r',%al
  je reboot
  cmp $'i',%al
  jne idle
  mov $0x602,%dx
  xor %ax,%ax
  out %ax,%dx
idle:
  cmp $'w',%al
  jne 1f
  incb writing
1:
  testb $1,writing
  jnz write
  sti
  hlt                           # the timer wakes us 18 times a second
  jmp again
write:
  incl counter
  mov counter,%eax
  mov %eax,0x7e00
  and $63,%eax
  inc %ax
  mov %eax,lba
  mov $0x80,%dl
  call store
  mov $0x81,%dl
  call store
  testb $63,counter
  jnz again
  mov $'.',%al
  call put
  jmp again
store:
  mov $packet,%si
  mov $0x4300,%ax               # BIOS extended write
  int $0x13
  ret
put:
  push %dx
  mov $0x3f8,%dx
  out %al,%dx
  pop %dx
  ret
pressed:
  mov $'B',%al
  call put
off:
  mov $0x604,%dx                # PM1_CNT: SLP_EN, type 0 is off
  mov $0x2000,%ax
  out %ax,%dx
  jmp stay
panic:
  mov $0x505,%dx                # pvpanic
  mov $1,%al
  out %al,%dx
  jmp stay
reboot:
  mov $0xcf9,%dx                # reset control
  mov $6,%al
  out %al,%dx
stay:
  hlt
  jmp stay
.balign 4
counter: .long 0
writing: .long 0
packet: .byte 16,0
  .word 1, 0x7e00, 0
lba: .long 0,0
.org 510
.word 0xaa55
