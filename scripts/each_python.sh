# Sourced by scripts that try several Pythons, from the repository's root: `quietly`, and `each`.

# pyenv's commands run only what is chosen; all that there are.
if command -v pyenv > /dev/null 2>&1; then
  PYENV_VERSION=$(pyenv versions --bare | paste -sd: -)
  export PYENV_VERSION
fi
unset AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH PYTHONPATH PYTHONHOME LD_LIBRARY_PATH

# A command whose output is shown only where it fails; $venv is where it is kept.
quietly() {
  "$@" > "$venv/check.log" 2>&1 || { tail -n 30 "$venv/check.log" >&2; exit 1; }
}

# Usage: each NAME PYTHON... Runs `check PYTHON` for each that runs here, with $version; NAME is who speaks.
each() {
  name=$1
  shift
  checked=
  for python in "$@"; do
    version=$("$python" -c 'import platform; print(platform.python_version())' 2> /dev/null) ||
      { echo "$name: no $python here"; continue; }
    check "$python"
    checked="$checked $version"
  done
  [ -n "$checked" ] || { echo "$name: none of $* is here" >&2; exit 1; }
  echo "$name:$checked passed"
}
