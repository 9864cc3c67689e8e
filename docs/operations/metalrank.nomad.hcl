# One node on every Mac of the cluster. raw_exec runs without isolation, and has to be enabled in the clients' configuration:
#   plugin "raw_exec" { config { enabled = true } }
job "metalrank" {
  type        = "system"
  datacenters = ["*"]

  constraint {
    attribute = "${attr.kernel.name}"
    value     = "darwin"
  }

  # A node at a time, and the next when that one is ready again.
  update {
    max_parallel     = 1
    health_check     = "checks"
    min_healthy_time = "10s"
    healthy_deadline = "2m"
  }

  group "node" {
    network {
      port "serve" { static = 8080 }
      port "agent" { static = 8081 }
      port "admin" { static = 8082 }
    }

    restart {
      attempts = 10
      interval = "5m"
      delay    = "5s"
      mode     = "delay"
    }

    service {
      name     = "metalrank"
      port     = "serve"
      provider = "nomad"

      check {
        type     = "http"
        path     = "/readyz"
        interval = "2s"
        timeout  = "1s"
      }
    }

    task "serve" {
      driver       = "raw_exec"
      kill_signal  = "SIGTERM"
      kill_timeout = "45s"

      config {
        command = "/usr/local/bin/metalrank"
        args    = ["serve"]
      }

      env {
        METALRANK_LISTEN       = "0.0.0.0:${NOMAD_PORT_serve}"
        METALRANK_AGENT_LISTEN = "0.0.0.0:${NOMAD_PORT_agent}"
        # Profiles and traces, for which nobody needs a key: for Prometheus elsewhere, give the port a host_network that only
        # operators reach, and NOMAD_ADDR_admin here.
        METALRANK_ADMIN_LISTEN      = "127.0.0.1:${NOMAD_PORT_admin}"
        METALRANK_OVERLOADED_STATUS = "503"
        METALRANK_DRAIN_DELAY       = "3s"
      }

      resources {
        cpu    = 1000
        memory = 1024
      }
    }
  }
}
