package weights

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// templateValue is a value of an expression in a chat template.
type templateValue struct {
	kind  valueKind
	parts []promptPart // of a text
	role  string       // of messages that were selected, and of their contents; "": all
	truth bool
}

type valueKind uint8

const (
	valueUndefined valueKind = iota
	valueText
	valueTruth
	valueMessages // a list
	valueContents // a list of the messages' texts
	valueMessage
)

func literal(text string) templateValue {
	return templateValue{kind: valueText, parts: []promptPart{{text: text}}}
}

func truth(b bool) templateValue { return templateValue{kind: valueTruth, truth: b} }

// printed returns what {{ }} prints.
func (v templateValue) printed() ([]promptPart, error) {
	switch v.kind {
	case valueText:
		return v.parts, nil
	case valueUndefined:
		return nil, nil
	}
	return nil, errors.New("a list or a truth value is printed")
}

// place returns the place that the value is; "" if it is none.
func (v templateValue) place() string {
	if v.kind == valueText && len(v.parts) == 1 {
		return v.parts[0].place
	}
	return ""
}

// holds reports whether the value counts as true. Of a text of a call that is not known.
func (v templateValue) holds() (bool, error) {
	switch v.kind {
	case valueTruth:
		return v.truth, nil
	case valueUndefined:
		return false, nil
	case valueMessages, valueContents:
		if v.role != roleSystem {
			return v.role == "" || v.role == roleQuery || v.role == roleDocument, nil
		}
	case valueText:
		if slices.ContainsFunc(v.parts, func(p promptPart) bool { return p.place == "" && p.text != "" }) {
			return true, nil
		}
		if !slices.ContainsFunc(v.parts, func(p promptPart) bool { return p.place != "" }) {
			return false, nil
		}
	}
	return false, errors.New("a condition on a text of the call is not read")
}

// expression reads an expression of a template.
type expression struct {
	template *chatTemplate
	tokens   []string // names, strings with their quotes, and signs
	depth    int
}

const maxExpression = 64 // nested brackets

func isName(s string) bool {
	for i := range len(s) {
		if b := s[i] | 0x20; !(b >= 'a' && b <= 'z' || s[i] == '_' || i > 0 && s[i] >= '0' && s[i] <= '9') {
			return false
		}
	}
	return s != ""
}

func (t *chatTemplate) expression(body string) (*expression, error) {
	x := &expression{template: t}
	for body = strings.TrimSpace(body); body != ""; body = strings.TrimSpace(body) {
		n := 1
		switch b := body[0]; {
		case b == '"' || b == '\'':
			for n < len(body) && body[n] != b {
				if body[n] == '\\' {
					n++
				}
				n++
			}
			if n++; n > len(body) {
				return nil, fmt.Errorf("%.40q has no end", body)
			}
		case isName(body[:1]):
			for n < len(body) && isName(body[:n+1]) {
				n++
			}
		}
		x.tokens = append(x.tokens, body[:n])
		body = body[n:]
	}
	return x, nil
}

// evaluate evaluates a whole expression.
func (t *chatTemplate) evaluate(body string) (templateValue, error) {
	x, err := t.expression(body)
	if err != nil {
		return templateValue{}, err
	}
	v, err := x.sum()
	if err == nil && len(x.tokens) > 0 {
		err = fmt.Errorf("%.40q is not read", x.tokens[0])
	}
	return v, err
}

// holds evaluates a condition: values with "and", "or", "not" and "is defined".
func (t *chatTemplate) holds(body string) (bool, error) {
	x, err := t.expression(body)
	if err != nil {
		return false, err
	}
	holds, err := x.condition()
	for err == nil && len(x.tokens) > 0 {
		var next bool
		switch {
		case x.take("and"):
			next, err = x.condition()
			holds = holds && next
		case x.take("or") && !slices.Contains(x.tokens, "and"): // which would bind closer
			next, err = x.condition()
			holds = holds || next
		default:
			err = fmt.Errorf("the condition %.80q is not read", body)
		}
	}
	return holds, err
}

func (x *expression) condition() (bool, error) {
	if x.take("not") {
		holds, err := x.condition()
		return !holds, err
	}
	v, err := x.sum()
	if err != nil {
		return false, err
	}
	if x.take("is") {
		not := x.take("not")
		if v.place() == roleSystem || !x.take("defined") {
			return false, errors.New("a condition on a text of the call is not read")
		}
		return (v.kind != valueUndefined) != not, nil
	}
	return v.holds()
}

// take takes the next token if it is that.
func (x *expression) take(token string) bool {
	if len(x.tokens) == 0 || x.tokens[0] != token {
		return false
	}
	x.tokens = x.tokens[1:]
	return true
}

// sum reads values that are joined.
func (x *expression) sum() (templateValue, error) {
	v, err := x.value()
	for err == nil && (x.take("+") || x.take("~")) {
		var next templateValue
		if next, err = x.value(); err != nil {
			break
		}
		if v.kind != valueText || next.kind != valueText {
			return v, errors.New("only texts can be joined")
		}
		v.parts = slices.Concat(v.parts, next.parts)
		size := 0
		for _, p := range v.parts {
			size += len(p.text)
		}
		if size > maxTemplate || len(v.parts) > maxTemplate {
			return v, fmt.Errorf("a text of over %d bytes", maxTemplate)
		}
	}
	return v, err
}

// value reads a string, a name or an expression in brackets, with its filters and attributes.
func (x *expression) value() (v templateValue, err error) {
	if len(x.tokens) == 0 {
		return v, errors.New("an expression ends early")
	}
	token := x.tokens[0]
	x.tokens = x.tokens[1:]
	switch {
	case token == "(":
		if x.depth++; x.depth > maxExpression {
			return v, fmt.Errorf("more than %d brackets in each other", maxExpression)
		}
		if v, err = x.sum(); err == nil && !x.take(")") {
			err = errors.New("a bracket has no end")
		}
		x.depth--
	case token == "true", token == "false":
		v = truth(token == "true")
	case token[0] == '"' || token[0] == '\'':
		var text string
		text, err = unquote(token)
		v = literal(text)
	case isName(token):
		v = x.name(token)
	default:
		err = fmt.Errorf("%.40q is not read", token)
	}
	for err == nil {
		switch {
		case x.take("|"):
			v, err = x.filter(v)
		case x.take("."):
			if !x.take("content") || v.kind != valueMessage {
				return v, errors.New("of a message only its content is read")
			}
			v = contentOf(v.role)
		default:
			return v, nil
		}
	}
	return v, err
}

// name returns the value of a name. The instruction has two names in templates of servers.
func (x *expression) name(name string) templateValue {
	if v, ok := x.template.values[name]; ok {
		return v
	}
	if name == "instruction" || name == "instruct" {
		return contentOf(roleSystem)
	}
	return templateValue{}
}

// contentOf returns the text of the first message with a role.
func contentOf(role string) templateValue {
	switch role {
	case roleQuery, roleDocument, roleSystem:
		return templateValue{kind: valueText, parts: []promptPart{{place: role}}}
	}
	return templateValue{}
}

// filter applies the next filter to a value.
func (x *expression) filter(v templateValue) (templateValue, error) {
	switch {
	case x.take("selectattr"):
		role, err := x.roleArgument()
		if err == nil && (v.kind != valueMessages || v.role != "" && v.role != role) {
			err = errors.New("selectattr of something other than messages")
		}
		return templateValue{kind: valueMessages, role: role}, err
	case x.take("map"):
		if !x.takeAll("(", "attribute", "=") || !x.takeAny(`"content"`, `'content'`) || !x.take(")") || v.kind != valueMessages {
			return v, errors.New(`of map only map(attribute="content") of messages is read`)
		}
		return templateValue{kind: valueContents, role: v.role}, nil
	case x.take("list"):
		if v.kind != valueMessages && v.kind != valueContents {
			return v, errors.New("list of something other than messages")
		}
		return v, nil
	case x.take("first"):
		switch {
		case v.role == "" || v.kind != valueMessages && v.kind != valueContents:
			return v, errors.New("first of something other than messages of a role")
		case v.kind == valueMessages && v.role == roleSystem:
			return v, errors.New("of messages with the role system only their contents are read: they may be missing")
		case v.kind == valueMessages:
			return templateValue{kind: valueMessage, role: v.role}, nil
		}
		return contentOf(v.role), nil
	case x.take("default"):
		return x.fallback(v)
	}
	return v, fmt.Errorf("the filter %.40q is not read", strings.Join(x.tokens[:min(1, len(x.tokens))], ""))
}

func (x *expression) takeAny(tokens ...string) bool { return slices.ContainsFunc(tokens, x.take) }

func (x *expression) takeAll(tokens ...string) bool {
	return !slices.ContainsFunc(tokens, func(t string) bool { return !x.take(t) })
}

// roleArgument reads ("role", "eq", ROLE).
func (x *expression) roleArgument() (string, error) {
	if x.take("(") && x.takeAny(`"role"`, `'role'`) && x.take(",") && x.takeAny(`"eq"`, `'eq'`, `"equalto"`, `'equalto'`, `"=="`, `'=='`) &&
		x.take(",") && len(x.tokens) > 1 && x.tokens[1] == ")" {
		role, err := unquote(x.tokens[0])
		x.tokens = x.tokens[2:]
		return role, err
	}
	return "", errors.New(`of selectattr only selectattr("role", "eq", …) is read`)
}

// fallback reads (VALUE) or (VALUE, true), what takes the place of an instruction that is not there. An empty one counts as
// none.
func (x *expression) fallback(v templateValue) (templateValue, error) {
	if !x.take("(") {
		return v, errors.New("default has no value")
	}
	other, err := x.sum()
	if err == nil && x.take(",") && !x.take("true") {
		err = errors.New("of the arguments of default only true is read")
	}
	if err == nil && !x.take(")") {
		err = errors.New("a bracket has no end")
	}
	switch {
	case err != nil:
	case v.kind == valueUndefined:
		return other, nil
	case v.place() != roleSystem: // it is always there
		if v.place() != "" {
			err = errors.New("default of a query or a document is not read")
		}
	case other.place() == roleSystem:
		return other, nil
	case other.kind == valueText && len(other.parts) == 1 && other.parts[0].place == "":
		return templateValue{kind: valueText, parts: []promptPart{{text: other.parts[0].text, place: roleSystem}}}, nil
	default:
		err = errors.New("the default of an instruction is no plain text")
	}
	return v, err
}

var escapes = strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\"`, `"`, `\'`, `'`, `\\`, `\`)

// unquote returns the text of a string.
func unquote(token string) (string, error) {
	if len(token) < 2 || token[0] != '"' && token[0] != '\'' {
		return "", fmt.Errorf("%.40q is no string", token)
	}
	text := token[1 : len(token)-1]
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' {
			if i++; i == len(text) || strings.IndexByte(`nt"'\`, text[i]) < 0 {
				return "", fmt.Errorf("an escape in %.40q is not read", token)
			}
		}
	}
	return escapes.Replace(text), nil
}
