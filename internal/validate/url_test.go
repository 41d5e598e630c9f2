package validate

import (
	"net/url"
	"strings"
	"testing"
)

func TestIsHTTPURL(t *testing.T) {
	for _, text := range []string{
		"https://example.org", "http://example.org/", "HTTPS://Example.ORG/a.png?x=1&y=[2]#top",
		"https://example.org:1/", "https://example.org:65535/", "https://example.org./a", "http://localhost:8080/a",
		"http://127.0.0.1/", "http://[::1]/", "http://[2001:db8::1]:8080/a.png", "http://[::ffff:192.0.2.1]/",
		"https://münchen.example/ä.png", "https://例え.テスト/画像.png", "https://xn--mnchen-3ya.example/", "https://i❤.example/",
		"https://%e4%be%8b.example/", "https://my_bucket.example/a", "https://example.org/a%20b%22%3C.png",
		"https://example.org/a(1),b;c=d/~e!*+$@:|{}^", "https://example.org/?to=a@b:c", "https://example.org/😀.png",
		"https://" + strings.Repeat("a", 63) + ".example/",
	} {
		if !IsHTTPURL(text) {
			t.Errorf("%q is refused", text)
		}
	}
	for name, text := range map[string]string{
		"empty":                        "",
		"no scheme":                    "example.org/a.png",
		"no scheme, with slashes":      "//example.org/a.png",
		"relative":                     "/a.png",
		"script":                       "javascript:alert(1)",
		"script with slashes":          "javascript://example.org/%0aalert(1)",
		"data":                         "data:image/png;base64,AAAA",
		"ftp":                          "ftp://example.org/",
		"file":                         "file:///etc/passwd",
		"scheme alone":                 "https:",
		"without slashes":              "https:example.org",
		"no host":                      "https:///a.png",
		"no host, a query":             "https://?a",
		"no host, a port":              "https://:443/",
		"a dot as host":                "https://./",
		"an empty label":               "https://a..example/",
		"user":                         "https://ann@example.org/",
		"user and password":            "https://ann:secret@example.org/",
		"empty user":                   "https://@example.org/",
		"host that looks like another": "https://example.org@evil.example/",
		"port 0":                       "https://example.org:0/",
		"port 00":                      "https://example.org:00/",
		"port 65536":                   "https://example.org:65536/",
		"port beyond 64 bits":          "https://example.org:99999999999999999999/",
		"negative port":                "https://example.org:-1/",
		"port by name":                 "https://example.org:http/",
		"empty port":                   "https://example.org:/",
		"port 0 of an address":         "http://[::1]:0/",
		"double quote":                 `https://example.org/"onerror=x`,
		"single quote":                 "https://example.org/'onerror=x",
		"backquote":                    "https://example.org/`",
		"angle brackets":               "https://example.org/<script>",
		"closing angle bracket":        "https://example.org/>",
		"backslash":                    `https://example.org\@evil.example/`,
		"backslash in the path":        `https://example.org/a\b`,
		"space":                        "https://example.org/a b.png",
		"space before":                 " https://example.org/",
		"space behind":                 "https://example.org/ ",
		"no-break space":               "https://example.org/a\u00a0b",
		"ideographic space":            "https://example.org/\u3000",
		"line separator":               "https://example.org/\u2028",
		"tab":                          "https://example.org/\t",
		"line break":                   "https://example.org/\nX: y",
		"NUL":                          "https://example.org/\x00",
		"C1 control":                   "https://example.org/\u0085",
		"zero-width space":             "https://example.org/\u200b",
		"override":                     "https://example.org/\u202egnp.exe",
		"byte order mark":              "\ufeffhttps://example.org/",
		"soft hyphen in the host":      "https://exam\u00adple.org/",
		"Hangul filler":                "https://example.org/\u3164",
		"invalid UTF-8":                "https://example.org/\xff",
		"escaped invalid UTF-8 host":   "https://a%ff.example/",
		"escaped override in the host": "https://a%e2%80%ae.example/",
		"malformed escape":             "https://example.org/%zz",
		"a host that becomes a path":   "https://evil.example\u2100.example.org/",
		"a host with an equals sign":   "https://a=b.example/",
		"a host with a comma":          "https://a,b.example/",
		"a long label":                 "https://" + strings.Repeat("a", 64) + ".example/",
		"a long host":                  "https://" + strings.Repeat("a.", 130) + "example/",
		"a number as host":             "http://2130706433/",
		"an address out of range":      "http://256.1.1.1/",
		"an address too short":         "http://127.1/",
		"an address with a zone":       "http://[fe80::1%25eth0]/",
		"a bracket without an address": "http://[v1.x]/",
		"an IPv4 address in brackets":  "http://[127.0.0.1]/",
		"an open bracket":              "http://[::1/",
	} {
		if IsHTTPURL(text) {
			t.Errorf("%s: %q is accepted", name, text)
		}
	}
}

// FuzzIsHTTPURL: a URL that is accepted has nothing that the rule refuses, even after it is parsed
// and written again.
func FuzzIsHTTPURL(f *testing.F) {
	f.Add("https://example.org:8080/a.png?b#c")
	f.Add("http://[::1]:8080/")
	f.Add("https://%e4%be%8b.example/%22")
	f.Add("https://a:b@example.org\\/")
	f.Fuzz(func(t *testing.T, text string) {
		if !IsHTTPURL(text) {
			return
		}
		u, err := url.Parse(text)
		if err != nil || u.Hostname() == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
			t.Fatalf("%q is accepted: %+v, %v", text, u, err)
		}
		if strings.ContainsAny(text, "\"'`<>\\ \t\r\n") || strings.ContainsAny(u.Host, "/?#@%\"'<>\\ ") {
			t.Errorf("%q is accepted, with host %q", text, u.Host)
		}
		if again := u.String(); !IsHTTPURL(again) {
			t.Errorf("%q is accepted, but not written again as %q", text, again)
		}
	})
}
