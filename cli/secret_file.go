package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/alecthomas/kong"
)

// secretTag marks the settings that are secrets. Instead of such a setting NAME, NAME_FILE can name
// a file that contains it.
const secretTag = "secret"

func isSecret(flag *kong.Flag) bool { return flag.Tag.Has(secretTag) && len(flag.Envs) > 0 }

// fileSetting returns the name of the setting that names the file.
func fileSetting(flag *kong.Flag) string { return flag.Envs[0] + "_FILE" }

// secretFromFile returns the content of the file that contains the setting, without trailing line
// ends, or nil if no file is named. It refuses an empty file, because the setting would count as
// not set. A flag takes precedence over the file.
func secretFromFile(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if !isSecret(flag) {
		return nil, nil
	}
	name, path := fileSetting(flag), os.Getenv(fileSetting(flag))
	if path == "" {
		return nil, nil
	}
	if os.Getenv(flag.Envs[0]) != "" {
		return nil, fmt.Errorf("%s and %s are both set", flag.Envs[0], name)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if strings.TrimSpace(secret) == "" {
		return nil, fmt.Errorf("%s: the file %s is empty", name, path)
	}
	return secret, nil
}
