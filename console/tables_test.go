package console

import "testing"

func TestWithRoles(t *testing.T) {
	for template, want := range map[string]string{
		`<table><thead><tr><th scope="col">`:      `<table role="table"><thead role="rowgroup"><tr role="row"><th scope="col" role="columnheader">`,
		`<th scope="row" class="a">{{.}}</th>`:    `<th scope="row" role="rowheader" class="a">{{.}}</th>`,
		`<td data-label="{{t "a"}}">`:             `<td role="cell" data-label="{{t "a"}}">`,
		`<td role="columnheader">`:                `<td role="columnheader">`,
		`<table class="narrow"><tr><td></table>`:  `<table class="narrow"><tr><td></table>`,
		"<template><track><table\n  class=\"a\">": "<template><track><table role=\"table\"\n  class=\"a\">",
	} {
		if got := withRoles(template); got != want {
			t.Errorf("%s became %s, want %s", template, got, want)
		}
	}
}
