from freqquest.serving.errors import busy, too_large, too_slow


def test_errors_are_one_json_object_with_the_value_the_limit_and_the_fix():
    error = too_large(50_000_000, 61_200_000)
    assert error.status == 413
    assert error.content == {
        "error": {
            "code": "too_large",
            "message": "the upload of 61.2 MB is larger than 50 MB, the limit of this service: "
            "send a shorter recording or a compressed one, or use the detect job for long "
            "recordings",
        }
    }
    assert "the upload is larger than 0.5 MB" in str(too_large(500_000))


def test_clients_are_told_when_to_try_again_and_to_let_a_slow_connection_go():
    assert busy("full").headers == {"Retry-After": "3"}
    assert too_slow(60, "the upload did not end").headers == {"Connection": "close"}
