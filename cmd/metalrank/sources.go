package main

import (
	"os"

	"github.com/alecthomas/kong"
)

// sources say where the settings of flags come from, by their names: a flag of the command line or an environment variable.
// What is not among them has its default.
type sources map[string]string

// sourcesOf looks where kong did, in its order.
func sourcesOf(parsed *kong.Context) sources {
	from := sources{}
	for _, flag := range parsed.Flags() {
		for _, variable := range flag.Envs {
			if _, ok := os.LookupEnv(variable); ok {
				from[flag.Name] = variable
				break
			}
		}
	}
	for _, step := range parsed.Path {
		if step.Flag != nil && !step.Resolved {
			from[step.Flag.Name] = "--" + step.Flag.Name
		}
	}
	return from
}
