// Package validate checks callers' input against the rules in struct tags, with
// go-playground/validator, and returns refusals in the terms of the API: the field, the rule and a
// readable sentence.
package validate

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-playground/validator/v10"

	"rollcall/internal/fault"
	"rollcall/models"
)

// userID is the alphabet of user IDs.
var userID = regexp.MustCompile(`^[A-Za-z0-9_.@=+-]+$`)

// Validator checks values. Its own rules, in addition to the library's, are:
//
//	userid     only A-Z a-z 0-9 _ - . @ = +
//	notblank   at least one visible character, see HasVisible
//	nocontrol  no control characters, see HasControl
//	nobidi     no bidirectional overrides, see HasOverride
//	maxbytes=N at most N bytes
//	http_url   see IsHTTPURL; stricter than the library's rule of that name
//	node=K     the ID of a node of the kind K, see models.ParseNodeID
//	either=F   either this field or the field F of the struct is given
//	without=F  not given together with the field F
//
// Zero values, nil and empty lists are not given.
type Validator struct{ v *validator.Validate }

// New returns a Validator.
func New() *Validator {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(f reflect.StructField) string {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		return name
	})
	own := map[string]validator.Func{
		"userid":    func(f validator.FieldLevel) bool { return userID.MatchString(f.Field().String()) },
		"notblank":  func(f validator.FieldLevel) bool { return HasVisible(f.Field().String()) },
		"nocontrol": func(f validator.FieldLevel) bool { return !HasControl(f.Field().String()) },
		"nobidi":    func(f validator.FieldLevel) bool { return !HasOverride(f.Field().String()) },
		"http_url":  func(f validator.FieldLevel) bool { return IsHTTPURL(f.Field().String()) },
		"maxbytes": func(f validator.FieldLevel) bool {
			limit, err := strconv.Atoi(f.Param())
			return err == nil && len(f.Field().String()) <= limit
		},
		"node": func(f validator.FieldLevel) bool {
			kind, _, ok := models.ParseNodeID(f.Field().String())
			return ok && string(kind) == f.Param()
		},
	}
	for tag, rule := range own {
		if err := v.RegisterValidation(tag, rule); err != nil {
			panic(err) // a rule's name is a constant of this file
		}
	}
	for tag, rule := range map[string]validator.Func{
		"either":  func(f validator.FieldLevel) bool { return given(f.Field()) != given(other(f)) },
		"without": func(f validator.FieldLevel) bool { return !given(f.Field()) || !given(other(f)) },
	} {
		if err := v.RegisterValidation(tag, rule, true); err != nil {
			panic(err) // as above
		}
	}
	return &Validator{v: v}
}

// other returns the field that the rule's parameter names.
func other(f validator.FieldLevel) reflect.Value { return f.Parent().FieldByName(f.Param()) }

// given reports whether a value counts as given.
func given(v reflect.Value) bool {
	return v.IsValid() && !v.IsZero() && (v.Kind() != reflect.Slice || v.Len() > 0)
}

// rules checks the values of the rules' input types.
var rules = New()

// Input checks an input type of a package of rules, by its tags. Returns INVALID_ARGUMENT with the
// field's name in JSON.
func Input(in any) error { return rules.Struct("", in) }

// Value checks a value that is not a field of an input type. Returns INVALID_ARGUMENT for field.
func Value(field string, value any, rule string) error { return rules.Var(field, value, rule) }

// Struct checks the struct that value is or points to, by its tags. The error is a fault
// INVALID_ARGUMENT whose field starts with path.
func (v *Validator) Struct(path string, value any) error {
	return refusal(path, v.v.Struct(value), true)
}

// Var checks value against rule. The error is a fault INVALID_ARGUMENT for path.
func (v *Validator) Var(path string, value any, rule string) error {
	return refusal(path, v.v.Var(value, rule), false)
}

// refusal converts the first of the library's errors into a fault.
func refusal(path string, err error, isStruct bool) error {
	if err == nil {
		return nil // before list, which escapes to the heap
	}
	var list validator.ValidationErrors
	if !errors.As(err, &list) {
		return err
	}
	first := list[0]
	field := path
	name := first.Namespace()
	if isStruct {
		// The namespace begins with the struct's Go name, which callers must not see.
		_, name, _ = strings.Cut(name, ".")
		field += "." + name
	} else {
		field += name
	}
	// ids[3] is written ids.3
	field = strings.Trim(strings.NewReplacer("[", ".", "]", "").Replace(field), ".")
	return fault.Invalid(field, first.Tag(), "%s %s", field, sentence(first))
}

// sentence returns the predicate of the error message for a field that violates a rule. Describe
// has the same rules.
func sentence(e validator.FieldError) string {
	unit := ""
	switch e.Kind() {
	case reflect.String:
		unit = " character"
	case reflect.Slice, reflect.Array, reflect.Map:
		unit = " item"
	}
	if unit != "" && e.Param() != "1" {
		unit += "s"
	}
	switch e.Tag() {
	case "required":
		return "must not be empty"
	case "max", "lte":
		if unit == "" {
			return "must be at most " + e.Param()
		}
		return "must have at most " + e.Param() + unit
	case "min", "gte":
		if unit == "" {
			return "must be at least " + e.Param()
		}
		return "must have at least " + e.Param() + unit
	case "maxbytes":
		return "must have at most " + e.Param() + " bytes"
	case "node":
		return "must be an ID that begins with " + e.Param() + ":"
	case "either":
		return "must be given if " + fieldName(e.Param()) + " is not, and must not be given if it is"
	case "without":
		return "must not be given together with " + fieldName(e.Param())
	}
	if words, ok := formRules[e.Tag()]; ok {
		return words.refusal
	}
	return fmt.Sprintf("breaks the rule %s", e.Tag())
}

// fieldName returns the name in JSON of the Go field that a rule names.
func fieldName(field string) string {
	first, size := utf8.DecodeRuneInString(field)
	return string(unicode.ToLower(first)) + field[size:]
}

// urlForm describes the URLs that IsHTTPURL accepts.
const urlForm = "with a valid host and port, without user info, quotes, angle brackets, backslashes, spaces or invisible characters"

// formRules are the texts for the rules without a parameter: refusal for an error about a value
// that violates the rule, and allowed for Describe.
var formRules = map[string]struct{ refusal, allowed string }{
	"userid":    {"must consist of A-Z a-z 0-9 _ - . @ = + only", "only `A-Z a-z 0-9 _ - . @ = +`"},
	"notblank":  {"must have at least one visible character", "at least one visible character"},
	"nocontrol": {"must not contain control characters", "no control characters"},
	"nobidi":    {"must not contain bidirectional overrides", "no bidirectional overrides"},
	"http_url":  {"must be an http or https URL " + urlForm, "an http or https URL " + urlForm},
}
