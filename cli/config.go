package cli

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"rollcall/internal/hostlist"
	"rollcall/internal/operators"
)

// configFlag is the flag that names the configuration file.
const configFlag = "config"

// configCommand has the settings of a server, so that it finds their values as `serve` does.
type configCommand struct {
	serveSettings

	Show  configShow  `cmd:"" default:"withargs" help:"Print each setting, its value and where it is from (the default)."`
	Check configCheck `cmd:"" help:"Check the settings as a server does, without connecting to anything."`
}

type configShow struct {
	JSON bool `name:"json" help:"Print one JSON array."`
}

// settingJSON is a setting as --json prints it.
type settingJSON struct {
	// Name is that of the flag, and in the configuration file.
	Name        string `json:"name"`
	Environment string `json:"environment"`
	Value       string `json:"value"`
	Secret      bool   `json:"secret"`
	Source      string `json:"source"`
	// At is the name of a variable, or FILE:LINE.
	At string `json:"at,omitempty"`
}

// Run prints the settings.
func (c *configShow) Run(s *settings, streams *Streams, sources *sources, parsed *kong.Context) error {
	warnOfUnknown(s.logger(streams), streams.Environment, parsed.Model.Node)
	var list []settingJSON
	for _, path := range parsed.Path {
		for _, flag := range path.Flags {
			if len(flag.Envs) == 0 {
				continue
			}
			from := sourceOf(parsed, sources, flag)
			list = append(list, settingJSON{
				Name: flag.Name, Environment: flag.Envs[0], Value: shown(flag), Secret: isSecret(flag), Source: from.kind, At: from.at,
			})
		}
	}
	if c.JSON {
		return printJSON(streams.Out, list)
	}
	table := tabwriter.NewWriter(output{streams.Out}, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SETTING\tVALUE\tSOURCE")
	for _, one := range list {
		fmt.Fprintf(table, "%s\t%s\t%s\n", one.Name, one.Value, source{kind: one.Source, at: one.At})
	}
	return printed(table.Flush())
}

// sourceOf returns where the value of the setting is from.
func sourceOf(parsed *kong.Context, sources *sources, flag *kong.Flag) source {
	for _, path := range parsed.Path {
		if path.Flag == flag && !path.Resolved {
			return source{kind: fromFlag}
		}
	}
	if from := sources.of[flag]; from.kind != "" {
		return from
	}
	return source{kind: fromDefault}
}

// mask is printed instead of a secret.
const mask = "********"

// shown returns the value of the setting as it could be written, without secrets.
func shown(flag *kong.Flag) string {
	var text string
	switch value := flag.Target.Interface().(type) {
	case time.Duration:
		text = value.String()
	case []string:
		text = strings.Join(value, string(flag.Tag.Sep))
	default:
		text = fmt.Sprint(reflect.Indirect(flag.Target).Interface())
	}
	switch {
	case !isSecret(flag) || text == "":
		return text
	case flag.Tag.Get(secretTag) == secretURL:
		return maskedURL(text)
	}
	return mask
}

// maskedURL returns the URL of a database or of Redis without its passwords. If it is malformed, in which
// case a password may be anywhere, it returns the mask alone.
func maskedURL(text string) string {
	if strings.HasPrefix(text, "sqlite:") {
		return text
	}
	single, hosts := hostlist.Split(text)
	u, err := url.Parse(single)
	if err != nil || u.Host == "" || u.User == nil && strings.Contains(text, "@") || strings.Contains(u.RawQuery+u.Fragment, "@") {
		return mask
	}
	out := u.Scheme + "://"
	if u.User != nil {
		out += url.User(u.User.Username()).String()
		if _, has := u.User.Password(); has {
			out += ":" + mask
		}
		out += "@"
	}
	out += strings.Join(hosts, ",") + u.EscapedPath()
	query := u.Query()
	for name := range query {
		if strings.Contains(name, "password") {
			query.Set(name, mask)
		}
	}
	if len(query) > 0 {
		out += "?" + strings.ReplaceAll(query.Encode(), url.QueryEscape(mask), mask)
	}
	return out
}

type configCheck struct{}

// Run returns the error with which a server with these settings would end.
func (configCheck) Run(c *configCommand, s *settings, streams *Streams, parsed *kong.Context) error {
	log := s.logger(streams)
	warnOfUnknown(log, streams.Environment, parsed.Model.Node)
	if err := c.check(); err != nil {
		return err
	}
	if _, err := networks("ROLLCALL_TRUSTED_PROXIES", c.TrustedProxies); err != nil {
		return err
	}
	if _, err := c.certificate(log); err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return err
	}
	if err := c.checkReplica(s.DatabaseURL); err != nil {
		return err
	}
	if c.AdminPassword != "" {
		if err := operators.CheckPassword(c.AdminPassword); err != nil {
			return passwordError(err)
		}
	}
	return printText(streams.Out, "the settings are valid\n")
}
