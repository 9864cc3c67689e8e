# A formula for a tap of your own. `./build.sh release formula VERSION SHA256SUMS` fills in address and checksum.
class Metalrank < Formula
  desc "Ranks documents with a cross-encoder, on Apple GPUs and CPUs"
  homepage "https://github.com/metalrank/metalrank"
  url "https://github.com/metalrank/metalrank/releases/download/v0.1.0/metalrank-v0.1.0-darwin-arm64.tar.gz"
  sha256 "0000000000000000000000000000000000000000000000000000000000000000"
  license "Apache-2.0"

  head do
    url "https://github.com/metalrank/metalrank.git", branch: "main"
    depends_on "go" => :build
    depends_on "rust" => :build
  end

  depends_on arch: :arm64
  depends_on :macos

  def install
    system "./build.sh", "build" if build.head?
    bin.install "bin/metalrank", "bin/metalrank-bulk" # the latter is what "metalrank bulk" runs
    %w[metalrank metalrank-bulk].each do |program|
      generate_completions_from_executable(bin/program, "completion")
      (man1/"#{program}.1").write Utils.safe_popen_read(bin/program, "manual")
    end
    prefix.install "LICENSES.txt", "sbom.cdx.json" if build.stable?
  end

  service do
    run [opt_bin/"metalrank", "serve"]
    keep_alive true
    error_log_path var/"log/metalrank-crash.log"
    environment_variables METALRANK_LISTEN: "127.0.0.1:8080", METALRANK_AGENT_LISTEN: "127.0.0.1:8081",
                          METALRANK_ADMIN_LISTEN: "127.0.0.1:8082", METALRANK_OVERLOADED_STATUS: "503",
                          METALRANK_DRAIN_DELAY: "3s", METALRANK_LOG_FILE: var/"log/metalrank.log"
    process_type :interactive
  end

  test do
    (testpath/"documents.txt").write "The shop opens at nine.\nKettles boil water.\n"
    assert_match "opens at nine", shell_output("#{bin}/metalrank rerank -q 'opening hours' --top-n 1 documents.txt")
    assert_match "submit", shell_output("#{bin}/metalrank bulk --help")
    assert_match version.to_s, shell_output("#{bin}/metalrank --version") if build.stable?
  end
end
