package main

// embedMutants spoil embed.metal.
var embedMutants = []mutant{
	{"embed.metal", "tokens not tested", "if (t >= args.tokens) {\n        return;\n    }\n", ""},
	{"embed.metal", "one token too many", "t >= args.tokens", "t > args.tokens"},
	{"embed.metal", "last token dropped", "t >= args.tokens", "t + 1 >= args.tokens"},
	{"embed.metal", "position of the first token", "tokens[args.tokens + t]", "tokens[args.tokens]"},
	{"embed.metal", "positions are the tokens'", "tokens[args.tokens + t]", "t"},
	{"embed.metal", "types are the positions", "tokens[2 * args.tokens + t]", "tokens[args.tokens + t]"},
	{"embed.metal", "types left out", " +\n               float4(*(device const vec<T, 4>*)(type + h));", ";"},
	{"embed.metal", "always the first type", "types + ulong(tokens[2 * args.tokens + t]) * H", "types"},
	{"embed.metal", "row of words by token", "ulong(tokens[t]) * H", "ulong(t) * H"},
	{"embed.metal", "stride of words", "ulong(tokens[t]) * H", "ulong(tokens[t]) * args.groupSize"},
	{"embed.metal", "elements for vectors", "((device const vec<T, 4>*)words)[i / 4]", "((device const vec<T, 4>*)words)[i]"},
	{"embed.metal", "fewer runs in a variant", `"embed_f16_768", half, 6`, `"embed_f16_768", half, 4`},
	{"embed.metal", "quantised where it is not", "if (!quantised) {", "if (quantised) {"},
	{"embed.metal", "bits swapped", "wordBits == 8", "wordBits == 4"},
	{"embed.metal", "nibbles swapped", "four & 15, four >> 4 & 15", "four >> 4 & 15, four & 15"},
	{"embed.metal", "nibbles not masked", "four >> 8 & 15, four >> 12", "four >> 8, four >> 12"},
	{"embed.metal", "group of the row alone", "group = i / groupSize", "group = (i - first) / groupSize"},
	{"embed.metal", "group one too far", "group = i / groupSize", "group = i / groupSize + 1"},
	{"embed.metal", "scale and offset swapped", "code * float(scales[group]) + float(offsets[group])", "code * float(offsets[group]) + float(scales[group])"},
	{"embed.metal", "offset scaled", "code * float(scales[group]) + float(offsets[group])", "(code + float(offsets[group])) * float(scales[group])"},
	{"embed.metal", "signed codes", "((device const uchar4*)words)", "((device const char4*)words)"},
	{"embed.metal", "tokens of a group", "group * groupSimdgroups + simdgroup", "group * simdWidth + simdgroup"},
	{"embed.metal", "every token into the first row", "norm.store(row, 1, y + ulong(t) * H", "norm.store(row, 1, y"},
	{"embed.metal", "words without address space", "device const uchar* words; // or codes", "const uchar* words;"},
}
