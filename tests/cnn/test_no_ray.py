import subprocess
import sys

MODULES = (
    "augment calibration classifier config devices judge labeled_clips leakage_audit metrics "
    "model_file network training search.outcome search.selection search.space search.trial_logs"
)


def test_modules_that_promise_to_do_without_ray_do_not_import_it():
    imports = "\n".join(f"import freqquest.cnn.{name}" for name in MODULES.split())
    code = f"import sys\n{imports}\nassert 'ray' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
