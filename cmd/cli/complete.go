package cli

import (
	_ "embed"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Completion is a command for the grammar of a program. It prints a shell's completion script; the script calls it again with
// the words of the command line, and gets the words that can stand in the place of the last one.
type Completion struct {
	Shell string   `arg:"" enum:"bash,zsh,fish" help:"The shell: ${enum}."`
	Words []string `arg:"" optional:"" passthrough:"" empty:"" help:"Behind --, the words of a command line without the program's: print what the last one can become."`
}

// Completer is a command that completes the words behind it itself, since it passes them to another program.
type Completer interface {
	Complete(shell string, words []string) error
}

// The scripts hold NAME for the program, and FUNCTION for it in names of functions.
var (
	//go:embed complete.bash
	bashScript string
	//go:embed complete.zsh
	zshScript string
	//go:embed complete.fish
	fishScript string
)

// Run is called by kong.
func (c *Completion) Run(parsed *kong.Context, std Streams) error {
	if len(c.Words) == 0 {
		script := map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}[c.Shell]
		name := strings.ReplaceAll(parsed.Model.Name, " ", "-")
		_, err := strings.NewReplacer("NAME", name, "FUNCTION", strings.ReplaceAll(name, "-", "_")).WriteString(std.Out, script)
		return err
	}
	words := c.Words
	if words[0] == "--" {
		words = words[1:]
	}
	node, found := candidates(parsed.Model.Node, words)
	if node.Passthrough {
		if other, ok := reflect.TypeAssert[Completer](node.Target.Addr()); ok {
			return other.Complete(c.Shell, words[slices.Index(words, node.Name)+1:])
		}
	}
	for _, f := range found {
		line := f.word
		switch about := strings.Join(strings.Fields(f.about), " "); {
		case c.Shell == "bash" || about == "":
		case c.Shell == "zsh":
			line = strings.ReplaceAll(f.word, ":", `\:`) + ":" + about
		default:
			line += "\t" + about
		}
		if _, err := fmt.Fprintln(std.Out, line); err != nil {
			return err
		}
	}
	return nil
}

// A candidate is a word that can stand in the place of an unfinished one.
type candidate struct{ word, about string }

// candidates returns those for the last word, and the command that it belongs to. There are none where a file or a text of
// the user's is wanted, or where the command passes its words on.
func candidates(node *kong.Node, words []string) (*kong.Node, []candidate) {
	if len(words) == 0 {
		return node, nil
	}
	given := map[string]bool{}
	var wanting *kong.Flag // the flag whose value the next word is
	var equals bool        // bash has the = between a flag and its value as a word of its own
	positional := 0
	last := len(words) - 1
	for _, word := range words[:last] {
		switch {
		case node.Passthrough:
			return node, nil
		case word == "=" && wanting != nil && !equals:
			equals = true
		case wanting != nil:
			wanting, equals = nil, false
		case word == "--":
			return node, nil
		case strings.HasPrefix(word, "-"):
			name, _, hasValue := strings.Cut(word, "=")
			if flag := findFlag(node, name); flag != nil {
				given[flag.Name] = true
				if !hasValue && !flag.IsBool() && !flag.IsCounter() {
					wanting = flag
				}
			}
		default:
			if child := findCommand(node, word); child != nil {
				node = child
			} else {
				positional++
			}
		}
	}
	word := words[last]
	if node.Passthrough {
		return node, nil
	}
	if wanting != nil {
		if word == "=" {
			word = ""
		}
		return node, starting(values(wanting.Value), word)
	}
	if name, value, ok := strings.Cut(word, "="); ok && strings.HasPrefix(name, "-") {
		var found []candidate
		if flag := findFlag(node, name); flag != nil {
			for _, v := range starting(values(flag.Value), value) {
				found = append(found, candidate{name + "=" + v.word, v.about})
			}
		}
		return node, found
	}
	return node, starting(inPlace(node, positional, given, strings.HasPrefix(word, "-")), word)
}

// inPlace returns the candidates for a command's next word. They are flags that are not given yet, if flags is set. Else they are
// values of the next positional argument, or where there is none, commands.
func inPlace(node *kong.Node, positional int, given map[string]bool, flags bool) (found []candidate) {
	switch {
	case flags:
		for _, group := range node.AllFlags(true) {
			for _, flag := range group {
				if !given[flag.Name] || flag.IsCumulative() {
					found = append(found, candidate{"--" + flag.Name, flag.Help})
				}
			}
		}
	case positional < len(node.Positional):
		found = values(node.Positional[positional])
	default:
		for _, child := range node.Children {
			if !child.Hidden {
				found = append(found, candidate{child.Name, child.Help})
			}
		}
	}
	return found
}

func values(value *kong.Value) (found []candidate) {
	if value.Enum == "" {
		return nil
	}
	for _, word := range value.EnumSlice() {
		found = append(found, candidate{word: word})
	}
	return found
}

func starting(all []candidate, with string) []candidate {
	return slices.DeleteFunc(all, func(c candidate) bool { return !strings.HasPrefix(c.word, with) })
}

// findFlag returns the flag of a command or of those above it that a word names, as --name or -n, or nil.
func findFlag(node *kong.Node, word string) *kong.Flag {
	for _, group := range node.AllFlags(false) {
		for _, flag := range group {
			long, isLong := strings.CutPrefix(word, "--")
			if isLong && (flag.Name == long || slices.Contains(flag.Aliases, long)) || flag.Short != 0 && word == "-"+string(flag.Short) {
				return flag
			}
		}
	}
	return nil
}

func findCommand(node *kong.Node, word string) *kong.Node {
	for _, child := range node.Children {
		if child.Name == word || slices.Contains(child.Aliases, word) {
			return child
		}
	}
	return nil
}
