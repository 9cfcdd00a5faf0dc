// SPDX-License-Identifier: GPL-2.0-or-later
/* The columns of the table in layout.h. */
#include "symbol/go/layout.h"

#define F0(field, a, b, c, d, e, f, g, h) .field = a,
#define F1(field, a, b, c, d, e, f, g, h) .field = b,
#define F2(field, a, b, c, d, e, f, g, h) .field = c,
#define F3(field, a, b, c, d, e, f, g, h) .field = d,
#define F4(field, a, b, c, d, e, f, g, h) .field = e,
#define F5(field, a, b, c, d, e, f, g, h) .field = f,
#define F6(field, a, b, c, d, e, f, g, h) .field = g,
#define F7(field, a, b, c, d, e, f, g, h) .field = h,

#define COLUMNS(MACHINE)							\
	{ 19, GO_LAYOUT_OF_BOTH(F0) MACHINE(F0) },			\
	{ 21, GO_LAYOUT_OF_BOTH(F1) MACHINE(F1) },			\
	{ 22, GO_LAYOUT_OF_BOTH(F2) MACHINE(F2) },			\
	{ 23, GO_LAYOUT_OF_BOTH(F3) MACHINE(F3) },			\
	{ 24, GO_LAYOUT_OF_BOTH(F4) MACHINE(F4) },			\
	{ 25, GO_LAYOUT_OF_BOTH(F5) MACHINE(F5) },			\
	{ 26, GO_LAYOUT_OF_BOTH(F6) MACHINE(F6) },			\
	{ 27, GO_LAYOUT_OF_BOTH(F7) MACHINE(F7) },

const struct go_layout go_layouts_x86[GO_VERSIONS] = { COLUMNS(GO_LAYOUT_X86) };
const struct go_layout go_layouts_arm64[GO_VERSIONS] = { COLUMNS(GO_LAYOUT_ARM64) };

/* uintptr until 1.21, uint16 since; freeIndexForScan followed it into the gap. */
size_t go_layout_nelems_size(const struct go_layout *layout)
{
	return layout->span_nelems % 8 ? 2 : 8;
}

const uint16_t go_class_sizes[GO_SIZE_CLASSES] = {
	0, 8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256,
	288, 320, 352, 384, 416, 448, 480, 512, 576, 640, 704, 768, 896, 1024, 1152, 1280,
	1408, 1536, 1792, 2048, 2304, 2688, 3072, 3200, 3456, 4096, 4864, 5376, 6144, 6528,
	6784, 6912, 8192, 9472, 9728, 10240, 10880, 12288, 13568, 14336, 16384, 18432, 19072,
	20480, 21760, 24576, 27264, 28672, 32768,
};
