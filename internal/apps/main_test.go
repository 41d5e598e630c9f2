package apps

import (
	"testing"

	"rollcall/internal/testenv"
	"rollcall/models"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// shell is the actor in tests.
var shell = models.Actor{Name: "shell", Address: "192.0.2.9"}
