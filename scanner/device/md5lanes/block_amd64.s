// MD5 of sixteen messages at once: a vector register holds one word of eight of them. The two
// groups of eight take turns, because each step of a group waits for its last one. The rounds
// are those of RFC 1321.
//
// DI state, DX pointers to the messages, SI constants of the rounds, CX blocks left, AX offset
// of the block, BX the block's 16 words on the stack, aligned: 32 bytes each of the first
// group, and of the second from 512 on.

// A round is a = b + rotate(a + f + word + constant). WORD gives word + constant, TURN the
// rest; f, t are temporary.
#define WORD(k, i, t) \
	VPBROADCASTD (k*4)(SI), t \
	VPADDD       (i)(BX), t, t

#define TURN(a, b, s, r, f, t) \
	VPADDD f, a, a  \
	VPSLLD $s, a, t \
	VPSRLD $r, a, a \
	VPOR   t, a, a  \
	VPADDD b, a, a

// f = d ^ (b & (c ^ d))
#define F(a, b, c, d, k, i, s, r, f, t) \
	WORD(k, i, t)   \
	VPXOR  c, d, f  \
	VPADDD t, a, a  \
	VPAND  b, f, f  \
	VPXOR  d, f, f  \
	TURN(a, b, s, r, f, t)

// f = (c & ^d) + (b & d)
#define G(a, b, c, d, k, i, s, r, f, t) \
	WORD(k, i, t)   \
	VPANDN c, d, f  \
	VPADDD t, a, a  \
	VPAND  b, d, t  \
	VPADDD t, a, a  \
	TURN(a, b, s, r, f, t)

// f = b ^ c ^ d
#define H(a, b, c, d, k, i, s, r, f, t) \
	WORD(k, i, t)   \
	VPXOR  c, d, f  \
	VPADDD t, a, a  \
	VPXOR  b, f, f  \
	TURN(a, b, s, r, f, t)

// f = c ^ (b | ^d); Y15 is all ones
#define I(a, b, c, d, k, i, s, r, f, t) \
	WORD(k, i, t)    \
	VPXOR  Y15, d, f \
	VPADDD t, a, a   \
	VPOR   b, f, f   \
	VPXOR  c, f, f   \
	TURN(a, b, s, r, f, t)

#define BOTH(R, a, b, c, d, e, f, g, h, k, i, s, r) \
	R(a, b, c, d, k, (i*32), s, r, Y8, Y9) \
	R(e, f, g, h, k, (i*32+512), s, r, Y10, Y11)

#define FOUR(R, k, i0, i1, i2, i3, s0, r0, s1, r1, s2, r2, s3, r3) \
	BOTH(R, Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7, (k+0), i0, s0, r0) \
	BOTH(R, Y3, Y0, Y1, Y2, Y7, Y4, Y5, Y6, (k+1), i1, s1, r1) \
	BOTH(R, Y2, Y3, Y0, Y1, Y6, Y7, Y4, Y5, (k+2), i2, s2, r2) \
	BOTH(R, Y1, Y2, Y3, Y0, Y5, Y6, Y7, Y4, (k+3), i3, s3, r3)

#define F4(k, i0, i1, i2, i3) FOUR(F, k, i0, i1, i2, i3, 7, 25, 12, 20, 17, 15, 22, 10)
#define G4(k, i0, i1, i2, i3) FOUR(G, k, i0, i1, i2, i3, 5, 27, 9, 23, 14, 18, 20, 12)
#define H4(k, i0, i1, i2, i3) FOUR(H, k, i0, i1, i2, i3, 4, 28, 11, 21, 16, 16, 23, 9)
#define I4(k, i0, i1, i2, i3) FOUR(I, k, i0, i1, i2, i3, 6, 26, 10, 22, 15, 17, 21, 11)

// POINTERS loads those of a group of messages.
#define POINTERS(from) \
	MOVQ (from+0)(DX), R8   \
	MOVQ (from+8)(DX), R9   \
	MOVQ (from+16)(DX), R10 \
	MOVQ (from+24)(DX), R11 \
	MOVQ (from+32)(DX), R12 \
	MOVQ (from+40)(DX), R13 \
	MOVQ (from+48)(DX), R14 \
	MOVQ (from+56)(DX), R15

// TRANSPOSE turns eight words of each message into eight vectors of one word.
#define TRANSPOSE(from, to) \
	VMOVDQU (from)(R8)(AX*1), Y8   \
	VMOVDQU (from)(R9)(AX*1), Y9   \
	VMOVDQU (from)(R10)(AX*1), Y10 \
	VMOVDQU (from)(R11)(AX*1), Y11 \
	VMOVDQU (from)(R12)(AX*1), Y12 \
	VMOVDQU (from)(R13)(AX*1), Y13 \
	VMOVDQU (from)(R14)(AX*1), Y14 \
	VMOVDQU (from)(R15)(AX*1), Y15 \
	VPUNPCKLDQ Y9, Y8, Y4    \
	VPUNPCKHDQ Y9, Y8, Y9    \
	VPUNPCKLDQ Y11, Y10, Y8  \
	VPUNPCKHDQ Y11, Y10, Y11 \
	VPUNPCKLDQ Y13, Y12, Y10 \
	VPUNPCKHDQ Y13, Y12, Y13 \
	VPUNPCKLDQ Y15, Y14, Y12 \
	VPUNPCKHDQ Y15, Y14, Y15 \
	VPUNPCKLQDQ Y8, Y4, Y14  \
	VPUNPCKHQDQ Y8, Y4, Y4   \
	VPUNPCKLQDQ Y11, Y9, Y8  \
	VPUNPCKHQDQ Y11, Y9, Y9  \
	VPUNPCKLQDQ Y12, Y10, Y11 \
	VPUNPCKHQDQ Y12, Y10, Y10 \
	VPUNPCKLQDQ Y15, Y13, Y12 \
	VPUNPCKHQDQ Y15, Y13, Y13 \
	VPERM2I128 $0x20, Y11, Y14, Y5 \
	VPERM2I128 $0x31, Y11, Y14, Y6 \
	VMOVDQU Y5, (to+0*32)(BX) \
	VMOVDQU Y6, (to+4*32)(BX) \
	VPERM2I128 $0x20, Y10, Y4, Y5 \
	VPERM2I128 $0x31, Y10, Y4, Y6 \
	VMOVDQU Y5, (to+1*32)(BX) \
	VMOVDQU Y6, (to+5*32)(BX) \
	VPERM2I128 $0x20, Y12, Y8, Y5 \
	VPERM2I128 $0x31, Y12, Y8, Y6 \
	VMOVDQU Y5, (to+2*32)(BX) \
	VMOVDQU Y6, (to+6*32)(BX) \
	VPERM2I128 $0x20, Y13, Y9, Y5 \
	VPERM2I128 $0x31, Y13, Y9, Y6 \
	VMOVDQU Y5, (to+3*32)(BX) \
	VMOVDQU Y6, (to+7*32)(BX)

// func blocks16(state *[4][16]uint32, from *[16]*byte, table *[64]uint32, n int)
TEXT ·blocks16(SB), 0, $1056-32
	MOVQ state+0(FP), DI
	MOVQ from+8(FP), DX
	MOVQ table+16(FP), SI
	MOVQ n+24(FP), CX
	LEAQ 31(SP), BX
	ANDQ $~31, BX
	XORQ AX, AX

next:
	POINTERS(0)
	TRANSPOSE(0, 0)
	TRANSPOSE(32, 256)
	POINTERS(64)
	TRANSPOSE(0, 512)
	TRANSPOSE(32, 768)
	VMOVDQU 0(DI), Y0
	VMOVDQU 64(DI), Y1
	VMOVDQU 128(DI), Y2
	VMOVDQU 192(DI), Y3
	VMOVDQU 32(DI), Y4
	VMOVDQU 96(DI), Y5
	VMOVDQU 160(DI), Y6
	VMOVDQU 224(DI), Y7
	VPCMPEQD Y15, Y15, Y15

	F4(0, 0, 1, 2, 3)
	F4(4, 4, 5, 6, 7)
	F4(8, 8, 9, 10, 11)
	F4(12, 12, 13, 14, 15)
	G4(16, 1, 6, 11, 0)
	G4(20, 5, 10, 15, 4)
	G4(24, 9, 14, 3, 8)
	G4(28, 13, 2, 7, 12)
	H4(32, 5, 8, 11, 14)
	H4(36, 1, 4, 7, 10)
	H4(40, 13, 0, 3, 6)
	H4(44, 9, 12, 15, 2)
	I4(48, 0, 7, 14, 5)
	I4(52, 12, 3, 10, 1)
	I4(56, 8, 15, 6, 13)
	I4(60, 4, 11, 2, 9)

	VPADDD 0(DI), Y0, Y0
	VPADDD 64(DI), Y1, Y1
	VPADDD 128(DI), Y2, Y2
	VPADDD 192(DI), Y3, Y3
	VPADDD 32(DI), Y4, Y4
	VPADDD 96(DI), Y5, Y5
	VPADDD 160(DI), Y6, Y6
	VPADDD 224(DI), Y7, Y7
	VMOVDQU Y0, 0(DI)
	VMOVDQU Y1, 64(DI)
	VMOVDQU Y2, 128(DI)
	VMOVDQU Y3, 192(DI)
	VMOVDQU Y4, 32(DI)
	VMOVDQU Y5, 96(DI)
	VMOVDQU Y6, 160(DI)
	VMOVDQU Y7, 224(DI)

	ADDQ $64, AX
	DECQ CX
	JNZ next

	VZEROUPPER
	RET
