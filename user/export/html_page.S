/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The page of export --format html as the Makefile built it: bytes, no terminating 0. */
	.section .rodata
	.global html_page, html_page_end
html_page:
	.incbin HTML_PAGE
html_page_end:
	.section .note.GNU-stack, "", %progbits
