/* See unsent.h. */
#include "backends/unsent.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

void unsent_forget(int fd)
{
    static const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    struct tcp_info info = {.tcpi_unacked = 0}; /* an old kernel fills less of it */
    socklen_t len = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
        (info.tcpi_unacked > 0 || info.tcpi_notsent_bytes > 0)) {
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
}
