package cli

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// The kinds of places from which a setting's value is.
const (
	fromDefault     = "default"
	fromFlag        = "flag"
	fromEnvironment = "environment"
	fromFile        = "file"
)

// source is the place from which a setting's value is.
type source struct {
	kind string
	// at is the variable's name, or FILE:LINE. It is "" for the other kinds.
	at string
	// key is the key in the configuration file.
	key string
}

func (s source) String() string {
	if s.at == "" {
		return s.kind
	}
	return s.at
}

// sources finds the values of settings that are not flags: in files with secrets and in the configuration
// file. kong asks it for each setting of a command.
type sources struct {
	path string
	// entries are those of the configuration file, by key; nil before it has been read.
	entries map[string]entry
	// of has what is known of the settings that kong has asked for.
	of map[*kong.Flag]source
}

// entry is a setting in the configuration file.
type entry struct {
	// value is a string, or a []any of strings.
	value any
	at    string
}

// configError is a mistake in the configuration file, and not in the setting that kong was asking for.
type configError struct{ error }

// Validate implements kong.Resolver.
func (s *sources) Validate(*kong.Application) error { return nil }

// Resolve returns the value of the setting, or nil if kong has it from the environment, or should use the
// default.
func (s *sources) Resolve(ctx *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if err := s.load(ctx); err != nil {
		return nil, configError{err}
	}
	if len(flag.Envs) == 0 {
		return nil, nil
	}
	if secret, err := secretFromFile(flag); secret != nil || err != nil {
		s.of[flag] = source{kind: fromEnvironment, at: fileSetting(flag)}
		return secret, err
	}
	if _, set := os.LookupEnv(flag.Envs[0]); set {
		s.of[flag] = source{kind: fromEnvironment, at: flag.Envs[0]}
		return nil, nil
	}
	if e, found := s.entries[flag.Name]; found {
		s.of[flag] = source{fromFile, e.at, flag.Name}
		return e.value, nil
	}
	if e, found := s.entries[fileKey(flag)]; found && isSecret(flag) {
		s.of[flag] = source{fromFile, e.at, fileKey(flag)}
		secret, err := readSecret(e.at+": "+fileKey(flag), e.value.(string))
		if err != nil {
			return nil, configError{err}
		}
		return secret, nil
	}
	return nil, nil
}

// explain returns an error of kong in one line. It names the setting in the environment, or the line of
// the configuration file, beside the flag with which kong's message begins, because the value may have
// come from any of them.
func (s *sources) explain(app *kong.Application, err error) string {
	if wrong, ok := errors.AsType[configError](err); ok {
		return oneLine(wrong)
	}
	message := oneLine(err)
	explained := message
	for _, node := range append([]*kong.Node{app.Node}, app.Children...) {
		for _, flag := range node.Flags {
			rest, found := strings.CutPrefix(message, "--"+flag.Name)
			if !found || len(flag.Envs) == 0 || strings.IndexAny(rest, " :") != 0 {
				continue
			}
			// Several commands have a flag of that name, and kong has asked for that of one.
			if from := s.of[flag]; from.kind == fromFile {
				return from.at + ": " + flag.Name + rest
			}
			explained = flag.Envs[0] + " (--" + flag.Name + ")" + rest
		}
	}
	return explained
}

// locate returns a message that begins with the name of a setting's variable with the place of its value
// instead, if that is a line of the configuration file or a file with a secret.
func (s *sources) locate(parsed *kong.Context, message string) string {
	for _, path := range parsed.Path {
		for _, flag := range path.Flags {
			if len(flag.Envs) == 0 {
				continue
			}
			rest, found := strings.CutPrefix(message, flag.Envs[0])
			if !found || strings.IndexAny(rest, " :") != 0 {
				continue
			}
			switch from := sourceOf(parsed, s, flag); from.kind {
			case fromFile:
				return from.at + ": " + from.key + rest
			case fromEnvironment:
				return from.at + rest
			}
		}
	}
	return message
}

// load reads the configuration file, once.
func (s *sources) load(ctx *kong.Context) error {
	if s.entries != nil {
		return nil
	}
	s.entries, s.of = make(map[string]entry), make(map[*kong.Flag]source)
	config := slices.IndexFunc(ctx.Model.Flags, func(flag *kong.Flag) bool { return flag.Name == configFlag })
	s.path, _ = ctx.FlagValue(ctx.Model.Flags[config]).(string)
	if s.path == "" {
		return nil
	}
	text, err := os.ReadFile(s.path)
	if err != nil {
		return fmt.Errorf("ROLLCALL_CONFIG (--%s): %w", configFlag, err)
	}
	file, err := parser.ParseBytes(text, 0)
	if wrong := yaml.Error(nil); errors.As(err, &wrong) {
		line := wrong.GetToken().Position.Line
		if indentedByTab(string(text), line) {
			return s.wrong(line, "a line begins with a tab; YAML takes only spaces there")
		}
		return s.wrong(line, "%s", wrong.GetMessage())
	} else if err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	flags := settingsOf(ctx.Model.Node)
	for i, doc := range file.Docs {
		if i > 0 {
			return s.wrong(doc.GetToken().Position.Line, "there must be one document only")
		}
		switch body := doc.Body.(type) {
		case nil, *ast.CommentGroupNode: // no settings
		case *ast.MappingNode:
			for _, item := range body.Values {
				if err := s.add(flags, item); err != nil {
					return err
				}
			}
		default:
			return s.wrong(body.GetToken().Position.Line, "the file must have lines such as listen: 127.0.0.1:8080")
		}
	}
	for name, flag := range flags {
		if one, both := s.entries[name], s.entries[fileKey(flag)]; one.at != "" && both.at != "" {
			return fmt.Errorf("%s: %s and %s are both set", both.at, name, fileKey(flag))
		}
	}
	return nil
}

// indentedByTab reports whether the line has a tab before anything else than spaces.
func indentedByTab(text string, line int) bool {
	lines := strings.Split(text, "\n")
	return line >= 1 && line <= len(lines) && strings.HasPrefix(strings.TrimLeft(lines[line-1], " "), "\t")
}

// add adds one line of the file.
func (s *sources) add(flags map[string]*kong.Flag, item *ast.MappingValueNode) error {
	key, line := item.Key.GetToken().Value, item.Key.GetToken().Position.Line
	flag := flags[key]
	if flag == nil {
		if name, ok := strings.CutSuffix(key, "-file"); ok && flags[name] != nil && isSecret(flags[name]) {
			flag = flags[name]
		}
	}
	if flag == nil {
		var known []string
		for name, flag := range flags {
			known = append(known, name)
			if isSecret(flag) {
				known = append(known, fileKey(flag))
			}
		}
		slices.Sort(known)
		if near := cmp.Or(nearest(key, known), nearest(settingKey(key), known)); near != "" {
			return s.wrong(line, "there is no setting %q; the nearest is %q", key, near)
		}
		return s.wrong(line, "there is no setting %q", key)
	}
	value, ok := valueOf(item.Value, flag.IsSlice() && key == flag.Name)
	if !ok {
		form := "one value"
		if flag.IsSlice() {
			form = "one value or a list"
		}
		return s.wrong(line, `%s must have %s; "" is an empty value`, key, form)
	}
	s.entries[key] = entry{value, fmt.Sprintf("%s:%d", s.path, line)}
	return nil
}

// settingKey returns the key in the configuration file of the setting with that variable, with or without
// the prefix of all.
func settingKey(variable string) string {
	key := strings.ReplaceAll(strings.ToLower(variable), "_", "-")
	return strings.TrimPrefix(key, strings.ReplaceAll(strings.ToLower(settingPrefix), "_", "-"))
}

// wrong returns an error about a line of the file.
func (s *sources) wrong(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", s.path, line, fmt.Sprintf(format, args...))
}

// valueOf returns a value as it is written, without quotes, and for a list a []any of such values, and
// reports whether the value is one of these. A number or a duration is not parsed here: kong does that for
// values of all sources.
func valueOf(node ast.Node, list bool) (value any, ok bool) {
	switch node := node.(type) {
	case *ast.StringNode:
		return node.Value, true
	case *ast.LiteralNode:
		return node.Value.Value, true
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode:
		return node.GetToken().Value, true
	case *ast.SequenceNode:
		items := make([]any, len(node.Values))
		for i, one := range node.Values {
			if items[i], ok = valueOf(one, false); !ok {
				return nil, false
			}
		}
		return items, list
	}
	return nil, false
}

// settingsOf returns the settings of the command and its subcommands by their names in the configuration
// file. Those that several commands have are alike.
func settingsOf(command *kong.Node) map[string]*kong.Flag {
	found := make(map[string]*kong.Flag)
	for _, flag := range command.Flags {
		if len(flag.Envs) > 0 && flag.Name != configFlag {
			found[flag.Name] = flag
		}
	}
	for _, child := range command.Children {
		for name, flag := range settingsOf(child) {
			found[name] = flag
		}
	}
	return found
}
