package main

// embedMutants spoil embed.metal.
var embedMutants = []mutant{
	{"embed.metal", "tokens not tested", "if (t >= args.tokens) {\n        return;\n    }\n", ""},
	{"embed.metal", "one token too many", "t >= args.tokens", "t > args.tokens"},
	{"embed.metal", "last token dropped", "t >= args.tokens", "t + 1 >= args.tokens"},
	{"embed.metal", "position of the first token", "tokens[args.tokens + t]", "tokens[args.tokens]"},
	{"embed.metal", "positions are the tokens'", "tokens[args.tokens + t]", "t"},
	{"embed.metal", "types are the positions", "tokens[2 * args.tokens + t]", "tokens[args.tokens + t]"},
	{"embed.metal", "types left out", " +\n                          float4(*(device const vec<T, 4>*)(type + h));", ";"},
	{"embed.metal", "always the first type", "(type + h)", "(types + h)"},
	{"embed.metal", "row of words by token", "word<T>(args, words, scales, offsets, id, h)", "word<T>(args, words, scales, offsets, t, h)"},
	{"embed.metal", "stride of words", "ulong(id) * args.hidden + h", "ulong(id) * args.groupSize + h"},
	{"embed.metal", "elements for vectors", "((device const vec<T, 4>*)words)[at / 4]", "((device const vec<T, 4>*)words)[at]"},
	{"embed.metal", "quantised where it is not", "if (!quantised) {", "if (quantised) {"},
	{"embed.metal", "bits swapped", "wordBits == 8", "wordBits == 4"},
	{"embed.metal", "nibbles swapped", "four & 15, four >> 4 & 15", "four >> 4 & 15, four & 15"},
	{"embed.metal", "nibbles not masked", "four >> 8 & 15, four >> 12", "four >> 8, four >> 12"},
	{"embed.metal", "group of the row alone", "group = at / args.groupSize", "group = h / args.groupSize"},
	{"embed.metal", "group one too far", "group = at / args.groupSize", "group = at / args.groupSize + 1"},
	{"embed.metal", "scale and offset swapped", "code * float(scales[group]) + float(offsets[group])", "code * float(offsets[group]) + float(scales[group])"},
	{"embed.metal", "offset scaled", "code * float(scales[group]) + float(offsets[group])", "(code + float(offsets[group])) * float(scales[group])"},
	{"embed.metal", "end of the row not tested", "if (h < H) {", "{"},
	{"embed.metal", "signed codes", "((device const uchar4*)words)", "((device const char4*)words)"},
	{"embed.metal", "tokens of a group", "group * groupSimdgroups + simdgroup", "group * simdWidth + simdgroup"},
	{"embed.metal", "every token into the first row", "row.store(y + ulong(t) * H", "row.store(y"},
	{"embed.metal", "words without address space", "static inline float4 word(\n    constant EmbedArgs& args,\n    device const uchar* words", "static inline float4 word(\n    constant EmbedArgs& args,\n    const uchar* words"},
}
