# Several ranks over MPI, with each MPI that is there: the same bytes as one process, one rate for all, a killed rank.
. "$(dirname "$0")/../lib.sh"
make_suite 1500 || exit 1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
for kind in ${MPI_KINDS:-openmpi mpich}; do
    if ! command -v mpicc.$kind >/dev/null || ! command -v mpirun.$kind >/dev/null; then
        skip "$kind" "skipped: mpicc.$kind or mpirun.$kind is not installed (scripts/install-deps.sh --cluster)"
        continue
    fi
    program=$PWD/build/mpicc.$kind-mpi/cfbench
    if ! env -u BUILD make --no-print-directory MPI=1 MPICC=mpicc.$kind "build/mpicc.$kind-mpi/cfbench" >"$T/build.log" 2>&1; then
        not_ok "make MPI=1 with $kind" "$(grep -m2 error "$T/build.log" | tr '\n' ' ')"
        continue
    fi
    mpirun="mpirun.$kind"
    [ $kind = mpich ] || mpirun="$mpirun --oversubscribe"
    SUITE="$T/suite" CFBENCH="$program" T="$T" KIND=$kind MPIRUN="$mpirun" python3 tests/cluster/mpi.py ${MPI_SECTIONS:-} || bad=1
done
