package figures

import (
	"testing"

	"rollcall/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }
