package main

// activationMutants spoil activation.h.
var activationMutants = []mutant{
	{"activation.h", "digits of a coefficient swapped", "1.453152027f", "1.435152027f"},
	{"activation.h", "coefficient left out", "    p = p * t - 0.284496736f;\n", ""},
	{"activation.h", "wrong scale of erf's argument", "fabs(x) * M_SQRT1_2_F", "fabs(x) * M_SQRT2_F"},
	{"activation.h", "argument's sign kept", "fabs(x) * M_SQRT1_2_F", "x * M_SQRT1_2_F"},
	{"activation.h", "wrong constant of erf", "0.3275911f", "0.3275119f"},
	{"activation.h", "sign of the tail", "tail : 2.0f - tail", "2.0f - tail : tail"},
	{"activation.h", "sign of the exponent", "exp(-z * z)", "exp(z * z)"},
	{"activation.h", "GELU in half", "const float tail = p", "const half tail = p"},
	{"activation.h", "GELU not halved", "0.5f * x * (x <", "x * (x <"},
	{"activation.h", "digits of GELUNew's coefficient swapped", "x + 0.044715f", "x + 0.047415f"},
	{"activation.h", "square for cube", "0.044715f * x * x * x", "0.044715f * x * x"},
	{"activation.h", "2/pi without its root", "0.7978845608028654f", "0.6366197723675814f"},
	{"activation.h", "clamped too early", "tanh(clamp(inner, -15.0f, 15.0f))", "tanh(clamp(inner, -1.0f, 1.0f))"},
	{"activation.h", "minimum for ReLU", "return max(x, 0.0f)", "return min(x, 0.0f)"},
	{"activation.h", "cases swapped", "case activationGelu:\n        return gelu<T>(x);\n    case activationGeluNew:\n        return geluNew<T>(x);",
		"case activationGelu:\n        return geluNew<T>(x);\n    case activationGeluNew:\n        return gelu<T>(x);"},
	{"activation.h", "case falls through", "return max(x, 0.0f) + 0.0f * x;", "x = max(x, 0.0f) + 0.0f * x;"},
	{"activation.h", "infinity lost in ReLU", "max(x, 0.0f) + 0.0f * x", "max(x, 0.0f)"},
	{"activation.h", "infinity lost in tanh", "clamp(x, -15.0f, 15.0f)) + 0.0f * x", "clamp(x, -15.0f, 15.0f))"},
	{"activation.h", "tanh missing", "    case activationTanh:\n        return tanh(clamp(x, -15.0f, 15.0f)) + 0.0f * x;\n", ""},
	{"activation.h", "sign of SiLU's exponent", "exp(min(-x, 80.0f))", "exp(min(x, 80.0f))"},
	{"activation.h", "SiLU limited too early", "min(-x, 80.0f)", "min(-x, 1.0f)"},
	{"activation.h", "sigmoid for SiLU", "return x * Precision<T>::reciprocal(1.0f + Precision<T>::exp(min", "return Precision<T>::reciprocal(1.0f + Precision<T>::exp(min"},
}
