package layering

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// A sourceFile has the facts about a Go file that the rules need.
type sourceFile struct {
	path        string   // below the module's root, with slashes
	packageName string   // of the package clause
	documented  bool     // has a package comment
	imports     []string // import paths; those of our own packages without the module's, as in "engine/backend"
}

// folder returns the file's package path below the module's.
func (f sourceFile) folder() string { return path.Dir(f.path) }

func (f sourceFile) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

// check returns one line for each breach of the rules, sorted. ours tells our packages' paths from others'.
func check(files []sourceFile, rules []rule) []string {
	ours := map[string]bool{}
	for _, f := range files {
		ours[f.folder()] = true
	}
	var breaches []string
	for _, f := range files {
		for _, imported := range f.imports {
			switch {
			case ours[imported] && !mayImport(f, imported, rules):
				breaches = append(breaches, fmt.Sprintf("%s: %s may not import %s", f.path, f.folder(), imported))
			case imported == "testing" || strings.HasPrefix(imported, "testing/"):
				if !f.isTest() && !strings.HasSuffix(f.folder(), "test") && !matches("tools/check/...", f.folder()) {
					breaches = append(breaches, fmt.Sprintf("%s: may not import %q: programs link it", f.path, imported))
				}
			case (imported == "unsafe" || imported == "C") && !matchesAny(mayBeUnsafe, f.path):
				breaches = append(breaches, fmt.Sprintf("%s: may not import %q", f.path, imported))
			}
		}
	}
	for folder := range ours {
		if ruleFor(folder, rules) == nil {
			breaches = append(breaches, fmt.Sprintf("%s: no rule names this package", folder))
		}
	}
	breaches = append(breaches, checkNames(files)...)
	slices.Sort(breaches)
	return slices.Compact(breaches)
}

// checkNames returns the breaches that concern packages as a whole: empty names and missing comments.
func checkNames(files []sourceFile) []string {
	documented := map[string]bool{} // by folder, of packages that others can import
	var breaches []string
	for _, f := range files {
		if slices.Contains(badNames, strings.TrimSuffix(f.packageName, "_test")) ||
			slices.Contains(badNames, path.Base(f.folder())) {
			breaches = append(breaches, fmt.Sprintf("%s: a package's name says what it is for", f.folder()))
		}
		if !f.isTest() && f.packageName != "main" {
			documented[f.folder()] = documented[f.folder()] || f.documented
		}
	}
	for folder, is := range documented {
		if !is {
			breaches = append(breaches, fmt.Sprintf("%s: no package comment", folder))
		}
	}
	return breaches
}

// mayImport says whether the rules let f import our package imported.
func mayImport(f sourceFile, imported string, rules []rule) bool {
	own := f.folder()
	if imported == own {
		return f.isTest() // package x_test
	}
	if r := ruleFor(own, rules); r != nil && (slices.Contains(r.imports, anything) || slices.Contains(r.imports, imported)) {
		return true
	}
	return f.isTest() && !isTool(imported, own) &&
		(strings.HasSuffix(imported, "test") || height(imported, rules) <= height(own, rules))
}

// isTool says whether a package is a tool, or is of another program than the folder that imports it.
func isTool(imported, own string) bool {
	if matches("cmd/...", imported) {
		program := strings.Join(strings.SplitN(imported, "/", 3)[:2], "/")
		return own != program && !matches(program+"/...", own)
	}
	return matches("tools/...", imported)
}

// height returns the length of the longest way down from a package along the allowed edges: 0 for one that imports
// nothing. A cycle among the rules would never end; TestRulesHaveNoCycle sees to it that there is none.
func height(folder string, rules []rule) int {
	r := ruleFor(folder, rules)
	if r == nil {
		return 0
	}
	highest := -1
	for _, imported := range r.imports {
		if imported == anything {
			return len(rules)
		}
		highest = max(highest, height(imported, rules))
	}
	return highest + 1
}

// ruleFor returns the rule with the longest pattern, dots aside, that matches a folder, or nil.
func ruleFor(folder string, rules []rule) *rule {
	var best *rule
	for i, r := range rules {
		if matches(r.packages, folder) && (best == nil || named(r) > named(*best)) {
			best = &rules[i]
		}
	}
	return best
}

// named returns how many bytes of a path a rule's pattern spells out.
func named(r rule) int { return len(strings.TrimSuffix(r.packages, "...")) }

// matches says whether a rule's pattern covers a folder.
func matches(pattern, folder string) bool {
	if above, ok := strings.CutSuffix(pattern, "/..."); ok {
		return strings.HasPrefix(folder, above+"/")
	}
	return pattern == folder
}

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, _ := path.Match(pattern, name)
		return ok
	})
}
