package console

import (
	"net/http"
	"testing"
)

func TestFind_AppsAndUsersByName(t *testing.T) {
	s := onSQLite(t)
	s.register(s.dev, "bob", hostile)
	b := s.as("viewer")
	b.get(Root+"find?q=DEM").want(t, http.StatusOK, `[{"id":"`+s.dev.Key+`","name":"demo","path":"`+overviewPath(s.dev)+`"}]`)
	b.get(Root+"find?q=nothing").want(t, http.StatusOK, "[]")
	path := appPath(s.dev) + "/find"
	b.get(path+"?q=nn").want(t, http.StatusOK, `[{"id":"ann","name":"Ann","path":"`+userPath(s.dev, "ann")+`"}]`)
	b.get(path+"?q=bo").want(t, http.StatusOK, `"id":"bob"`, "!<script>")
	for _, none := range []string{"", "?q=", "?q=%20", "?q=nobody"} {
		b.get(path+none).want(t, http.StatusOK, "[]", "!ann")
	}
}
