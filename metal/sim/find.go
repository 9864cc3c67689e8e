package sim

// FindCompiler returns the path of the clang++ that Open uses with asked, a path or a command's name, as
// Config.Compiler. Errors wrap metal.ErrNoDevice.
func FindCompiler(asked string) (string, error) {
	c, err := findCompiler(asked)
	return c.path, err
}
