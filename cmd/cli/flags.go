package cli

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/alecthomas/kong"
)

// Sources say where the settings of flags come from, by their names: a flag of the command line or an environment variable.
// A flag that is not in the map has its default.
type Sources map[string]string

// SourcesOf returns the sources of parsed's flags. It looks where kong looks, in kong's order: the command line goes before
// the variables.
func SourcesOf(parsed *kong.Context) Sources {
	from := Sources{}
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

// UnknownVariables returns the names of environment variables that begin with a program's prefix and that no flag of any of its
// commands reads. environment is as os.Environ returns it.
func UnknownVariables(app *kong.Application, prefix string, environment []string) []string {
	known := map[string]bool{}
	var visit func(node *kong.Node)
	visit = func(node *kong.Node) {
		for _, flag := range node.Flags {
			for _, name := range flag.Envs {
				known[name] = true
			}
		}
		for _, child := range node.Children {
			visit(child)
		}
	}
	visit(app.Node)
	var unknown []string
	for _, entry := range environment {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, prefix+"_") && !known[name] {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// FromVariable says whether a flag's value comes from an environment variable.
func (s Sources) FromVariable(flag string) bool {
	return s[flag] != "" && !strings.HasPrefix(s[flag], "--")
}

// FlagNames are names that the flag for a field of a configuration may have.
func FlagNames(field string) []string {
	var name strings.Builder
	for i, r := range field {
		if unicode.IsUpper(r) && i > 0 {
			name.WriteByte('-')
		}
		name.WriteRune(unicode.ToLower(r))
	}
	return append([]string{name.String()}, otherNames[field]...)
}

var otherNames = map[string][]string{
	"CORSOrigins": {"cors-origin"}, "MaxTexts": {"max-client-batch-size"}, "MaxLength": {"pair-tokens"},
}

// configError is an error about a field of a configuration, as engine.ConfigError.
type configError interface {
	error
	// Setting returns the field's name, its value as texts show it, and which values it may have.
	Setting() (field, got, want string)
}

// describe returns the text of an error. Where the error names a field, the text names its flag; for each flag in the text
// that comes from an environment variable, it adds the variable's name.
func describe(err error, parsed *kong.Context) string {
	text := err.Error()
	if parsed == nil {
		return text
	}
	from := SourcesOf(parsed)
	if wrong, ok := errors.AsType[configError](err); ok {
		field, got, want := wrong.Setting()
		for _, name := range FlagNames(field) {
			if slices.ContainsFunc(parsed.Flags(), func(f *kong.Flag) bool { return f.Name == name }) {
				text = strings.Replace(text, wrong.Error(), fmt.Sprintf("--%s is %s, want %s", name, got, want), 1)
				break
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(from)) {
		mentioned := regexp.MustCompile(`--` + regexp.QuoteMeta(name) + `($|[^\w-])`)
		if from.FromVariable(name) && !strings.Contains(text, from[name]) && mentioned.MatchString(text) {
			text += fmt.Sprintf(" (--%s comes from %s)", name, from[name])
		}
	}
	return text
}

// Useless returns the flags that are set and have no effect, by name, with the reason. The tag needs:"other" says that a
// flag has an effect only where other is set, needs:"other=pattern" only where pattern matches the value of other. Commas
// separate several.
func Useless(parsed *kong.Context, from Sources) map[string]string {
	reasons := map[string]string{}
	values := map[string]*kong.Value{}
	for _, flag := range parsed.Flags() {
		values[flag.Name] = flag.Value
	}
	for _, flag := range parsed.Flags() {
		for needs := range strings.SplitSeq(flag.Tag.Get("needs"), ",") {
			if needs != "" && from[flag.Name] != "" && !fulfilled(needs, values) {
				reasons[flag.Name] = "it has no effect without --" + needs
			}
		}
	}
	return reasons
}

func fulfilled(needs string, values map[string]*kong.Value) bool {
	name, pattern, isPattern := strings.Cut(needs, "=")
	other, ok := values[name]
	if !ok {
		panic("BUG: a flag needs --" + name + ", which there is not")
	}
	if !isPattern {
		return !other.Target.IsZero()
	}
	// path.Match takes a slash for the end of a name.
	matches, _ := path.Match(pattern, strings.ReplaceAll(fmt.Sprint(other.Target.Interface()), "/", "_")) // the patterns are ours
	return matches
}

// refuseUseless refuses flags of the command line that have no effect. A variable may be meant for other commands.
func refuseUseless(parsed *kong.Context) error {
	from := SourcesOf(parsed)
	for name, reason := range Useless(parsed, from) {
		if !from.FromVariable(name) {
			return fmt.Errorf("--%s: %s", name, reason)
		}
	}
	return nil
}

// refuseEmpty refuses an empty text on the command line: a script passes one for a variable that it hasn't set, and
// --api-key "" would let everybody in. The tag empty allows it. An empty environment variable counts as none.
func refuseEmpty(parsed *kong.Context) error {
	for _, step := range parsed.Path {
		switch {
		case step.Flag != nil && !step.Resolved && isEmpty(step.Flag.Value):
			return fmt.Errorf("--%s is empty", step.Flag.Name)
		case step.Positional != nil && step.Positional.Set && isEmpty(step.Positional):
			return fmt.Errorf("<%s> is empty", step.Positional.Name)
		}
	}
	return nil
}

func isEmpty(value *kong.Value) bool {
	if value.Tag.Has("empty") {
		return false
	}
	switch target := value.Target; target.Kind() {
	case reflect.String:
		return target.Len() == 0
	case reflect.Slice:
		texts, ok := reflect.TypeAssert[[]string](target)
		return ok && (len(texts) == 0 || slices.Contains(texts, ""))
	}
	return false
}

// decodeDuration is a kong.MapperFunc.
func decodeDuration(ctx *kong.DecodeContext, target reflect.Value) error {
	token, err := ctx.Scan.PopValue("duration")
	if err != nil {
		return err
	}
	d, err := time.ParseDuration(fmt.Sprint(token.Value))
	if err != nil {
		return fmt.Errorf("%q is no duration, want a number with its unit, as 30s or 1h30m", token.Value)
	}
	target.SetInt(int64(d))
	return nil
}

// pathMapper reads a path as kong does, but leaves an empty one empty, which kong takes for the current folder.
func pathMapper(exists bool) kong.MapperFunc {
	return func(ctx *kong.DecodeContext, target reflect.Value) error {
		var path string
		if err := ctx.Scan.PopValueInto("file", &path); err != nil {
			return err
		}
		if path != "" && path != "-" {
			path = kong.ExpandPath(path)
		}
		if exists && path != "" && path != "-" {
			info, err := os.Stat(path)
			if err == nil && info.IsDir() {
				err = fmt.Errorf("%s is a folder, want a file", path)
			}
			if err != nil {
				return err
			}
		}
		target.SetString(path)
		return nil
	}
}

// Assignments are the values of a flag that is given as NAME=VALUE, any number of times.
type Assignments map[string]string

// Decode implements kong.MapperValue. Several may be in one argument, with semicolons between them.
func (a *Assignments) Decode(ctx *kong.DecodeContext) error {
	var text string
	if err := ctx.Scan.PopValueInto("NAME=VALUE", &text); err != nil {
		return err
	}
	if *a == nil {
		*a = Assignments{}
	}
	for part := range strings.SplitSeq(text, ";") {
		name, value, ok := strings.Cut(part, "=")
		if !ok || name == "" || value == "" {
			return fmt.Errorf("%q: want NAME=VALUE", part)
		}
		if before, twice := (*a)[name]; twice && before != value {
			return fmt.Errorf("%s is set twice, to %s and to %s", name, before, value)
		}
		(*a)[name] = value
	}
	return nil
}
