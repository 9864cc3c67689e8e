// Command metallint checks that shaders are Metal Shading Language, without a Mac: address spaces, C++ features that
// Metal leaves out, attributes, indices and limits. See package dialect.
//
//	metallint [-house] [-kernels FILE] FILE.metal|DIR...
//
// It prints file:line:column: message (rule) for each problem. Exit status: 0 none, 1 some, 2 it could not check.
package main
