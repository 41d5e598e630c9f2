package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/alecthomas/kong"
)

// secretTag marks the settings that are secrets. Instead of such a setting NAME, NAME_FILE can name
// a file that contains it, and name-file in the configuration file. Its value is secretURL for a URL, of
// which only the password is secret.
const (
	secretTag = "secret"
	secretURL = "url"
)

func isSecret(flag *kong.Flag) bool { return flag.Tag.Has(secretTag) && len(flag.Envs) > 0 }

// fileSetting returns the name of the setting that names the file, and fileKey its key in the
// configuration file.
func fileSetting(flag *kong.Flag) string { return flag.Envs[0] + "_FILE" }

func fileKey(flag *kong.Flag) string { return flag.Name + "-file" }

// secretFromFile returns the content of the file that the environment names for the setting, or nil if it
// names none.
func secretFromFile(flag *kong.Flag) (any, error) {
	if !isSecret(flag) {
		return nil, nil
	}
	name := fileSetting(flag)
	path := os.Getenv(name)
	if path == "" {
		return nil, nil
	}
	if os.Getenv(flag.Envs[0]) != "" {
		return nil, fmt.Errorf("%s and %s are both set", flag.Envs[0], name)
	}
	return readSecret(name, path)
}

// readSecret returns the content of a file without trailing line ends. It refuses an empty file, because
// the setting would count as not set. name is what names the file.
func readSecret(name, path string) (any, error) {
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
