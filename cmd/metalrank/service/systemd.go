package service

import (
	"fmt"
	"path/filepath"
	"strings"
)

// unit is the service's name in systemd.
const unit = "metalrank.service"

// systemd runs a service of the system, or one of a user, from the first login to the last logout.
type systemd struct{ *Service }

func (s systemd) path() string {
	if s.System {
		return "/etc/systemd/system/" + unit
	}
	return filepath.Join(s.User.HomeDir, ".config", "systemd", "user", unit)
}

// folders are none: the journal has the log.
func (s systemd) folders() []string { return nil }

func (s systemd) file() ([]byte, error) {
	var text strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	line("# By metalrank service install.")
	line("[Unit]\nDescription=metalrank, a rerank server")
	if s.System {
		line("Wants=network-online.target\nAfter=network-online.target")
	}
	line("\n[Service]")
	line("ExecStart=%s", commandLine(append([]string{s.Program}, s.Args...)))
	line("ExecReload=/bin/kill -HUP $MAINPID") // keys and certificate are read again
	if s.System {
		line("User=%s\nProtectSystem=full\nPrivateDevices=true", s.User.Username)
	}
	line("NoNewPrivileges=true")
	line("Restart=always\nRestartSec=%d", seconds(restartTime))
	line("RestartPreventExitStatus=2") // wrong usage
	line("TimeoutStopSec=%d", seconds(s.StopTime+stopMargin))
	line("LimitNOFILE=%d", maxOpenFiles)
	line("\n[Install]")
	if s.System {
		line("WantedBy=multi-user.target")
	} else {
		line("WantedBy=default.target")
	}
	return []byte(text.String()), nil
}

// commandLine quotes words for systemd (systemd.service(5), "Command lines"): in double quotes, with specifiers and variables
// escaped.
func commandLine(words []string) string {
	quoted := make([]string, len(words))
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%", "$", "$$", "\n", `\n`, "\t", `\t`)
	for i, w := range words {
		quoted[i] = escape.Replace(w)
		if w == "" || strings.ContainsAny(w, " \t\n'\";\\") {
			quoted[i] = `"` + quoted[i] + `"`
		}
	}
	return strings.Join(quoted, " ")
}

func (s systemd) command(words ...string) []string {
	if s.System {
		return append([]string{"systemctl"}, words...)
	}
	return append([]string{"systemctl", "--user"}, words...)
}

func (s systemd) start() [][]string {
	return [][]string{s.command("daemon-reload"), s.command("enable", unit), s.command("restart", unit)}
}

func (s systemd) stop() [][]string { return [][]string{s.command("disable", "--now", unit)} }

func (s systemd) status() []string { return s.command("status", "--no-pager", unit) }
