# A Spack recipe. Use: spack repo add packaging/spack; spack dev-build cfbench@0.1.0 in the project's folder.
from spack.package import *


class Cfbench(MakefilePackage):
    """Evaluation of language models on CFBenchmark and suites of one's own: asks OpenAI-compatible servers with many calls side by
    side, keeps every reply, and scores replies exactly as CFBenchmark does."""

    has_code = True
    version("0.1.0")

    variant("openmp", default=True, description="Threads (without: one call after the other in one thread)")
    variant("mpi", default=False, description="Asking and scoring with several ranks")
    variant("onednn", default=False, description="The embedding model in bfloat16")

    depends_on("c", type="build")
    depends_on("gmake", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("curl")
    depends_on("openssl")
    depends_on("cjson")
    depends_on("openblas threads=openmp", when="+openmp")
    depends_on("openblas threads=none", when="~openmp")
    depends_on("sqlite@3.37:")
    depends_on("utf8proc")
    depends_on("zlib-api")
    depends_on("zstd")
    depends_on("lz4")
    depends_on("mpi", when="+mpi")
    depends_on("onednn@2", when="+onednn")

    def _arguments(self):
        arguments = [f"prefix={self.prefix}"]
        if self.spec.satisfies("~openmp"):
            arguments.append("SERIAL=1")
        if self.spec.satisfies("+mpi"):
            arguments += ["MPI=1", f"MPICC={self.spec['mpi'].mpicc}"]
        if self.spec.satisfies("+onednn"):
            arguments.append("DNNL=1")
        return arguments

    def build(self, spec, prefix):
        make("all", "man", *self._arguments())

    def install(self, spec, prefix):
        make("install", *self._arguments())

    @run_after("install")
    @on_package_attributes(run_tests=True)
    def try_it(self):
        Executable(join_path(self.prefix.bin, "cfbench"))(
            "run", "--suite", "sample", "--mock", "--limit", "1", "--quiet", "--out", join_path(self.stage.path, "try")
        )
