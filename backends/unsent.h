/* What the kernel still has to send for a call that was given up. Without a word from us it would go on
 * for minutes after the connection is closed, and an expert that comes back would do the work for nobody. */
#pragma once

/* Where something of fd (a TCP socket, else nothing happens) has not arrived, its close, which must follow
 * at once, throws that away and says RST. Where all has arrived the close is as ever. */
void unsent_forget(int fd);
