/* Assertions for our own mistakes, compiled in always. Never for input, files, peers or memory. */
#pragma once

/* Prints file, line and the broken claim to stderr, then aborts. */
_Noreturn void assert_failed(const char *file, int line, const char *claim);

#define ASSERT(claim) ((claim) ? (void)0 : assert_failed(__FILE__, __LINE__, #claim))
