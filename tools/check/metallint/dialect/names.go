package dialect

import (
	"regexp"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/metal/msl"
)

// libraryNames are the names of namespace metal, behind the header that declares them (Metal Shading Language Specification 4,
// chapters 2 and 6). `using namespace metal` brings them in, so that a type, a variable or a kernel of the same name
// outside of a namespace is ambiguous wherever it is used.
var libraryNames = strings.Fields(`
metal_types: size_t ptrdiff_t vec packed_vec matrix uniform make_uniform as_type is_function_constant_defined
r8unorm r8snorm r16unorm r16snorm rg8unorm rg8snorm rg16unorm rg16snorm rgba8unorm srgba8unorm rgba8snorm rgba16unorm
rgba16snorm rgb10a2 rg11b10f rgb9e5
metal_array: array array_ref make_array_ref
metal_atomic: atomic atomic_bool atomic_int atomic_uint atomic_ulong atomic_float memory_order memory_order_relaxed
memory_order_acquire memory_order_release memory_order_acq_rel memory_order_seq_cst thread_scope thread_scope_thread
thread_scope_simdgroup thread_scope_threadgroup thread_scope_device atomic_thread_fence atomic_store_explicit
atomic_load_explicit atomic_exchange_explicit atomic_compare_exchange_weak_explicit atomic_fetch_add_explicit
atomic_fetch_and_explicit atomic_fetch_max_explicit atomic_fetch_min_explicit atomic_fetch_or_explicit
atomic_fetch_sub_explicit atomic_fetch_xor_explicit atomic_max_explicit atomic_min_explicit
metal_texture: access sampler texture1d texture1d_array texture2d texture2d_array texture3d texturecube texturecube_array
texture2d_ms texture2d_ms_array texture_buffer depth2d depth2d_array depthcube depthcube_array depth2d_ms depth2d_ms_array
coord address s_address t_address r_address filter mag_filter min_filter mip_filter compare_func border_color reduction
max_anisotropy lod_clamp bias level gradient2d gradient3d gradientcube min_lod_clamp component sparse_color
is_null_texture
metal_compute: mem_flags threadgroup_barrier simdgroup_barrier
metal_graphics: dfdx dfdy fwidth discard_fragment get_num_samples get_sample_position interpolation interpolant
patch_control_point
metal_imageblocks: imageblock imageblock_slice imageblock_layout_explicit imageblock_layout_implicit
metal_mesh: mesh topology mesh_grid_properties
metal_command_buffer: command_buffer render_command compute_command render_pipeline_state compute_pipeline_state
depth_stencil_state primitive_type index_type cull_mode depth_clip_mode winding triangle_fill_mode copy_command
metal_visible_function_table: visible_function_table intersection_function_table is_null_visible_function_table
is_null_intersection_function_table raytracing
metal_tensor: tensor tensor_handle tensor_inline tensor_offset extents dextents array_extents cooperative_tensor
metal_logging: os_log os_log_default os_log_type
metal_limits: numeric_limits
metal_type_traits: integral_constant bool_constant true_type false_type enable_if enable_if_t conditional conditional_t
disjunction conjunction negation is_same is_same_v is_void is_integral is_floating_point is_arithmetic is_scalar is_vector
is_signed is_unsigned is_const is_volatile is_pointer is_reference is_array is_enum is_class is_union is_function
is_convertible is_base_of is_constructible is_trivial is_trivially_copyable is_standard_layout is_empty is_pod remove_cv
remove_const remove_volatile remove_reference remove_pointer remove_extent remove_addrspace remove_cv_t remove_const_t
remove_volatile_t remove_reference_t remove_pointer_t remove_extent_t remove_addrspace_t add_const add_volatile add_cv
add_pointer make_signed make_unsigned make_signed_t make_unsigned_t make_scalar make_scalar_t decay decay_t
underlying_type underlying_type_t common_type common_type_t rank extent declval
metal_utility: move forward swap pair
metal_math: precise fast acos acosh asin asinh atan atan2 atanh ceil copysign cos cosh cospi divide exp exp2 exp10 fabs
fdim floor fma fmax fmax3 fmedian3 fmin fmin3 fmod fract frexp ilogb ldexp log log2 log10 modf nextafter pow powr rint
round rsqrt sin sincos sinh sinpi sqrt tan tanh tanpi trunc
metal_common: clamp mix saturate sign smoothstep step
metal_integer: abs absdiff addsat clz ctz extract_bits hadd insert_bits mad24 madhi madsat max max3 median3 min min3 mul24
mulhi popcount reverse_bits rhadd rotate subsat
metal_relational: all any isfinite isinf isnan isnormal isordered isunordered select signbit
metal_geometric: cross distance distance_squared dot faceforward length length_squared normalize reflect refract
metal_matrix: determinant transpose
metal_pack: unpack_snorm4x8_to_float unpack_unorm4x8_to_float unpack_unorm4x8_srgb_to_float unpack_snorm2x16_to_float
unpack_unorm2x16_to_float unpack_unorm10a2_to_float unpack_unorm565_to_float unpack_snorm4x8_to_half
unpack_unorm4x8_to_half unpack_unorm4x8_srgb_to_half unpack_snorm2x16_to_half unpack_unorm2x16_to_half
unpack_unorm10a2_to_half unpack_unorm565_to_half pack_float_to_snorm4x8 pack_float_to_unorm4x8 pack_float_to_srgb_unorm4x8
pack_float_to_snorm2x16 pack_float_to_unorm2x16 pack_float_to_unorm10a2 pack_float_to_unorm565 pack_half_to_snorm4x8
pack_half_to_unorm4x8 pack_half_to_srgb_unorm4x8 pack_half_to_snorm2x16 pack_half_to_unorm2x16 pack_half_to_unorm10a2
pack_half_to_unorm565
metal_simdgroup: simd_vote simd_active_threads_mask simd_all simd_any simd_and simd_ballot simd_broadcast
simd_broadcast_first simd_is_first simd_is_helper_thread simd_max simd_min simd_or simd_prefix_exclusive_product
simd_prefix_exclusive_sum simd_prefix_inclusive_product simd_prefix_inclusive_sum simd_product simd_shuffle
simd_shuffle_and_fill_down simd_shuffle_and_fill_up simd_shuffle_down simd_shuffle_rotate_down simd_shuffle_rotate_up
simd_shuffle_up simd_shuffle_xor simd_sum simd_xor
metal_quadgroup: quad_vote quad_active_threads_mask quad_all quad_any quad_and quad_ballot quad_broadcast
quad_broadcast_first quad_is_first quad_is_helper_thread quad_max quad_min quad_or quad_prefix_exclusive_product
quad_prefix_exclusive_sum quad_prefix_inclusive_product quad_prefix_inclusive_sum quad_product quad_shuffle
quad_shuffle_and_fill_down quad_shuffle_and_fill_up quad_shuffle_down quad_shuffle_rotate_down quad_shuffle_rotate_up
quad_shuffle_up quad_shuffle_xor quad_sum quad_xor
metal_simdgroup_matrix: simdgroup_matrix make_filled_simdgroup_matrix make_diagonal_simdgroup_matrix simdgroup_load
simdgroup_store simdgroup_multiply simdgroup_multiply_accumulate simdgroup_float8x8 simdgroup_half8x8 simdgroup_bfloat8x8
`)

// languageTypes matches the scalars, vectors and matrices of the language (chapter 2).
var languageTypes = regexp.MustCompile(`^(packed_)?(bool|u?char|u?short|u?int|u?long|half|b?float)[234]?(x[234])?$|^u?int(8|16|32|64)_t$`)

// isLibraryName says whether Metal has declared a name.
func isLibraryName(name string) bool {
	return slices.Contains(libraryNames, name) || languageTypes.MatchString(name)
}

// global is a name that the source declares outside of every namespace, class and function.
type global struct {
	token    int
	function bool
}

// clashes reports global names that the library has, too. An overload of a function of the library is legal as long as its
// parameters differ, so that only our own rules forbid it.
func (c *checker) clashes() {
	i := slices.IndexFunc(c.tokens, func(t msl.Token) bool { return t.Text == "using" })
	for ; i >= 0 && !(c.is(i, "using") && c.is(i+1, "namespace") && c.is(i+2, "metal")); i++ {
		if i == len(c.tokens) {
			return // the library's names stay in their namespace
		}
	}
	if i < 0 {
		return
	}
	for _, g := range c.globals() {
		t := c.tokens[g.token]
		isKernel := slices.ContainsFunc(c.file.Kernels, func(k msl.Kernel) bool { return k.Name == t.Text })
		switch {
		case !isLibraryName(t.Text):
		case !g.function || isKernel:
			c.report(t.Span.Start, Compile, "%s is a name of Metal's library, which using namespace metal brings in", t.Text)
		case c.options.House:
			c.report(t.Span.Start, HouseNames, "%s is a function of Metal's library, too", t.Text)
		}
	}
}

// globals lists the names that declarations of global scope declare.
func (c *checker) globals() []global {
	var all []global
	for i := 0; i < len(c.tokens); {
		next := max(c.skipDeclaration(i, len(c.tokens)), i+1)
		all = append(all, c.declared(i, next)...)
		i = next
	}
	return all
}

// declared lists the names that the declaration between two tokens declares.
func (c *checker) declared(i, end int) []global {
	if c.is(i, "template") {
		if !c.is(i+1, "<") {
			return nil // an instantiation
		}
		if i = c.matchAngle(i+1) + 1; i == 0 {
			return nil
		}
	}
	name := -1 // the last one seen
	for ; i < end; i++ {
		switch text := c.tokens[i].Text; {
		case c.isAttribute(i):
			i = c.match(i)
		case text == "alignas" || text == "__attribute__" || text == "decltype":
			i = c.match(i + 1)
		case text == "namespace" || text == "static_assert" || text == "operator" || text == "extern" || text == "using" && !c.is(i+2, "="):
			return nil
		case text == "using":
			return []global{{token: i + 1}}
		case text == "struct" || text == "class" || text == "union" || text == "enum":
			return c.declaredType(i, end)
		case text == "<" && name >= 0:
			if closing := c.matchAngle(i); closing > 0 {
				i = closing
			}
		case text == "(" && name >= 0:
			return []global{{token: name, function: true}}
		case name >= 0 && (text == "=" || text == "{" || text == "[" || text == "," || text == ";"):
			return append(c.declarators(i, end), global{token: name}) // variables, or the name of a typedef
		case c.isName(i):
			name = i
		}
		if i < 0 {
			return nil
		}
	}
	return nil
}

// declarators lists the variables behind the commas of a declaration.
func (c *checker) declarators(i, end int) []global {
	var all []global
	for ; i >= 0 && i < end; i++ {
		switch c.tokens[i].Text {
		case "(", "[", "{":
			i = c.match(i)
		case "<":
			i = max(i, c.matchAngle(i))
		case ",":
			all = append(all, global{token: i + 1})
		}
		if i < 0 {
			break
		}
	}
	return all
}

// declaredType lists the name of the type that is declared from token i on, the enumerators of an unscoped enum, and the name
// that a typedef gives to a type without one.
func (c *checker) declaredType(i, end int) []global {
	isEnum := c.is(i, "enum")
	i++
	scoped := c.is(i, "class") || c.is(i, "struct")
	if scoped {
		i++
	}
	for c.isAttribute(i) {
		i = c.match(i) + 1
	}
	if c.is(i, "alignas") {
		i = c.match(i+1) + 1
	}
	var all []global
	if c.isName(i) {
		all = append(all, global{token: i})
	}
	for i < end && !c.is(i, "{") {
		i++
	}
	if i == end {
		return all // no more than a declaration
	}
	closing := c.match(i)
	for ; isEnum && !scoped && i < closing; i++ {
		if (c.is(i, "{") || c.is(i, ",")) && c.isName(i+1) {
			all = append(all, global{token: i + 1})
		}
	}
	if c.isName(closing + 1) {
		all = append(all, global{token: closing + 1})
	}
	return all
}
