#!/usr/bin/env bash
# Install requirements.txt with another Python, then run every job on a few clips.
# Usage: .ci/smoke.sh PYTHON [VENV]. Without VENV, the packages (8 GB) go to a temporary folder.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
venv=${2:-$work/venv}
python=$venv/bin/python

"$1" -m venv "$venv"
"$venv/bin/pip" install --quiet --requirement requirements.txt
"$python" --version

"$python" -W error -m compileall -q -f freqquest jobs
"$python" - <<'END'
from importlib import import_module
from pkgutil import walk_packages

import freqquest

for module in walk_packages(freqquest.__path__, "freqquest."):
    import_module(module.name)
END

"$python" - "$work/clips" <<'END'
import sys
from pathlib import Path

from freqquest.audio.demo_clips import DemoConfig, write_demo_clips

config = DemoConfig(
    num_recordings=5, clips_per_recording=2, num_test_recordings=1, clips_per_test_recording=1
)
write_demo_clips(Path(sys.argv[1]), config)
END

for job in jobs/*.py; do
  "$python" "$job" --help > /dev/null
done
"$venv/bin/freqquest" --help > /dev/null

run=$work/run
test_clips=("$work/clips/test" --sample-submission "$work/clips/sample_submission.csv")
"$python" jobs/pipeline.py --run-dir "$run" --audio-dir "$work/clips/train" \
  --test-dir "${test_clips[@]}" \
  --num-trials 1 --max-epochs 1 --num-members 0 --epochs 1 --num-clips 1
"$python" jobs/preprocess.py --dataset-dir "$run/dataset" --verify
"$python" jobs/predict.py --model "$run/best_model.keras" --output "$work/submission.csv" \
  --audio-dir "${test_clips[@]}"
"$python" jobs/detect.py --model "$run/best_model.keras" --output "$work/events.csv" \
  --audio-dir "$work/clips/test"
"$python" jobs/generate.py --generator "$run/generator.safetensors" --output-dir "$work/sirens" \
  --label siren --num-clips 1

ls "$run"/{report.html,trials.csv,generated.csv,dataset/manifest.json} > /dev/null
ls "$work"/{sirens/*.wav,events.csv} > /dev/null
cmp "$run/submission.csv" "$work/submission.csv"
echo "every job runs on $("$python" --version)"
