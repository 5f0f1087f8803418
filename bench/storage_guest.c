/* Reads or writes a disk past the page cache and tells how long that took; runs in the guest of storage.py.
 *
 *   storage_guest DISK read|write random|sequential BYTES COUNT START SPAN
 *     moves COUNT pieces of BYTES, which lie in SPAN bytes from START on, and prints the nanoseconds
 *   storage_guest DISK wait
 *     waits until the disk is there and 4 KiB of it have been read, then prints 0
 *
 * Only system calls, so that it needs neither the C library nor a compiler in the guest:
 *   cc -O2 -static -nostdlib -ffreestanding -fno-stack-protector -o storage_guest storage_guest.c
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>

#ifndef O_DIRECT
#define O_DIRECT 040000
#endif

static char piece[1 << 20] __attribute__((aligned(4096)));

static long call(long number, long a, long b, long c, long d)
{
    long answer;
    register long fourth __asm__("r10") = d;
    __asm__ volatile("syscall" : "=a"(answer) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
                     : "rcx", "r11", "memory");
    return answer;
}

static void quit(int status)
{
    for (;;)
        call(SYS_exit_group, status, 0, 0, 0);
}

static uint64_t now_ns(void)
{
    struct timespec time;
    call(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&time, 0, 0);
    return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static uint64_t number(const char *text)
{
    uint64_t value = 0;
    for (; *text; text++)
        value = value * 10 + (*text - '0');
    return value;
}

static void say(uint64_t value)
{
    char text[21];
    int at = sizeof text;
    text[--at] = '\n';
    do
        text[--at] = '0' + value % 10;
    while (value /= 10);
    call(SYS_write, 1, (long)(text + at), sizeof text - at, 0);
}

static void wait_for(const char *disk)
{
    struct timespec pause = {0, 1000000};
    for (;;) {
        long file = call(SYS_open, (long)disk, O_RDONLY | O_DIRECT, 0, 0);
        if (file >= 0 && call(SYS_pread64, file, (long)piece, 4096, 0) == 4096)
            break;
        if (file >= 0)
            call(SYS_close, file, 0, 0, 0);
        call(SYS_nanosleep, (long)&pause, 0, 0, 0);
    }
    say(0);
    quit(0);
}

__attribute__((used)) static void run(long *stack)
{
    long count_of_words = stack[0];
    char **words = (char **)(stack + 1);
    if (count_of_words == 3)
        wait_for(words[1]);
    if (count_of_words != 8)
        quit(2);
    int writes = words[2][0] == 'w', random = words[3][0] == 'r';
    uint64_t bytes = number(words[4]), count = number(words[5]), start = number(words[6]);
    uint64_t places = number(words[7]) / bytes;
    long file = call(SYS_open, (long)words[1], (writes ? O_RDWR : O_RDONLY) | O_DIRECT, 0, 0);
    if (file < 0 || bytes > sizeof piece || places == 0)
        quit(3);
    for (size_t at = 0; at < sizeof piece; at++)
        piece[at] = at * 31 + 7;
    uint64_t state = 88172645463325252ull, begun = now_ns();
    for (uint64_t at = 0; at < count; at++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        uint64_t offset = start + (random ? state % places : at % places) * bytes;
        if (call(writes ? SYS_pwrite64 : SYS_pread64, file, (long)piece, bytes, offset) != (long)bytes)
            quit(4);
    }
    say(now_ns() - begun);
    quit(0);
}

__asm__(".globl _start\n_start:\n  mov %rsp,%rdi\n  and $-16,%rsp\n  call run\n");
