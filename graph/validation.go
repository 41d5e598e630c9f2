package graph

import (
	"fmt"

	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator/core"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

const (
	// maxValidationErrors is how many errors the validation reports before it stops.
	maxValidationErrors = 50
	// maxValidationText limits the errors' messages, in bytes, before they are clipped: a message
	// quotes the value that it is about, however long.
	maxValidationText = 64 << 10
	// maxSuggesting is the maximum length of a document, in bytes, whose errors suggest names. A
	// suggestion compares the given name with every possible name, which takes time for each byte.
	// Documents that people write are short.
	maxSuggesting = 16 << 10
)

// The rules of gqlparser, in which those that deviate from the specification or cost too much are
// replaced. "Fragments must not form cycles" is checked by measure, and "fields in a set can merge"
// by merger. MaxIntrospectionDepth is not a rule of the specification; it visits a fragment once
// for each spread, so that nested fragments take exponential time. limits counts the fields of an
// introspection instead.
var (
	plainRules = []core.Rule{
		{Name: idLiteralsRule, RuleFunc: idLiterals},
		{Name: intRangeRule, RuleFunc: intRange},
		{Name: numberSizeRule, RuleFunc: numberSize},
		{Name: singleRootRule, RuleFunc: singleRoot},
		rules.FragmentsOnCompositeTypesRule,
		rules.KnownDirectivesRule,
		rules.KnownFragmentNamesRule,
		rules.KnownRootTypeRule,
		rules.LoneAnonymousOperationRule,
		rules.NoUndefinedVariablesRule,
		rules.NoUnusedFragmentsRule,
		rules.NoUnusedVariablesRule,
		rules.PossibleFragmentSpreadsRule,
		rules.ProvidedRequiredArgumentsRule,
		rules.UniqueArgumentNamesRule,
		rules.UniqueDirectivesPerLocationRule,
		rules.UniqueFragmentNamesRule,
		rules.UniqueInputFieldNamesRule,
		rules.UniqueOperationNamesRule,
		rules.UniqueVariableNamesRule,
		rules.VariablesAreInputTypesRule,
		rules.VariablesInAllowedPositionRule,
	}
	suggestingRules = []core.Rule{
		rules.FieldsOnCorrectTypeRule,
		rules.KnownArgumentNamesRule,
		rules.KnownTypeNamesRule,
		rules.ScalarLeafsRule,
		rules.ValuesOfCorrectTypeRule,
	}
	silentRules = []core.Rule{
		rules.FieldsOnCorrectTypeRuleWithoutSuggestions,
		rules.KnownArgumentNamesRuleWithoutSuggestions,
		rules.KnownTypeNamesRuleWithoutSuggestions,
		rules.ScalarLeafsRuleWithoutSuggestions,
		rules.ValuesOfCorrectTypeRuleWithoutSuggestions,
	}
)

// validation collects the errors of one document.
type validation struct {
	errs gqlerror.List
	text int
	seen map[string]bool
}

// enough is the panic that stops a validation with too many errors: gqlparser has no other way to
// stop.
type enough struct{}

// validateDocument checks doc, which has been measured, against the schema. suggest reports
// whether the errors may suggest names of the schema.
func validateDocument(schema *ast.Schema, doc *ast.QueryDocument, suggest bool) gqlerror.List {
	v := &validation{seen: make(map[string]bool)}
	v.walk(schema, doc, suggest)
	if len(v.errs) == 0 {
		if err := checkMerging(doc); err != nil {
			v.errs = gqlerror.List{err}
		}
	}
	for _, err := range v.errs {
		errcode.Set(err, errcode.ValidationFailed)
	}
	return v.errs
}

// walk applies the rules until there are too many errors.
func (v *validation) walk(schema *ast.Schema, doc *ast.QueryDocument, suggest bool) {
	defer func() {
		if cause := recover(); cause != nil {
			if _, ok := cause.(enough); !ok {
				panic(cause)
			}
			v.errs = append(v.errs, gqlerror.Errorf("there are too many errors; the validation has stopped"))
		}
	}()
	named := silentRules
	if suggest {
		named = suggestingRules
	}
	observers := &core.Events{}
	for _, list := range [...][]core.Rule{plainRules, named} {
		for _, rule := range list {
			rule.RuleFunc(observers, v.reporter(rule.Name))
		}
	}
	core.Walk(schema, doc, observers)
}

// reporter returns the function by which rule reports its errors. gqlparser visits a fragment from
// several places, and reports its errors each time; only the first of equal errors is kept.
func (v *validation) reporter(rule string) core.AddErrFunc {
	return func(options ...core.ErrorOption) {
		err := &gqlerror.Error{Rule: rule}
		for _, option := range options {
			option(err)
		}
		v.text += len(err.Message)
		if key := fmt.Sprint(rule, err.Locations, err.Message); !v.seen[key] {
			v.seen[key] = true
			v.errs = append(v.errs, err)
		}
		if len(v.errs) == maxValidationErrors || v.text > maxValidationText {
			panic(enough{})
		}
	}
}
