"""Which host is meant: what ssh is told of it, and what never reaches ssh."""

from __future__ import annotations

import pytest

from msrtui.errors import BadRequest
from msrtui.snapshot.destination import by_hand, check_host, destination
from msrtui.snapshot.remote import RemoteOptions, capture_hosts

GOOD = """
h u@h u@h@h 10.0.0.1 fe80::1%eth0 AD\\u@h vm$@h a/b größe
ssh://h ssh://u@h ssh://h:22 ssh://u:pw@h:22 ssh://u%40d@h/ ssh://[h]:22
"""
IN_BRACKETS = {
    "[::1]": ((), "::1"),
    "u@[::1]": ((), "u@::1"),
    "ssh://[::1]": ((), "::1"),
    "ssh://u@[::1]:02222/": (("-p", "2222"), "u@::1"),
    "ssh://u%40d@[2001:db8::7]:22": (("-p", "22"), "u@d@2001:db8::7"),
    "ssh://[fe80::1%25eth0]": ((), "fe80::1%eth0"),
    "[fe80::1%eth0]": ((), "fe80::1%eth0"),
}
BAD = """
-h -oProxyCommand=x u@-oProxyCommand=x -l@h @h u@ u@-h h;id $(id) h`id` u'@h u;id@h h|x h\\x h{a,b}
ssh:// ssh://-h ssh://u@-h ssh://-u@h ssh://%2Du@h ssh://%0a@h ssh://u@ ssh://@h ssh://h: ssh://h:x ssh://h:0 ssh://h/x
ssh://a@b@h ssh://h$x ssh://%27@h ssh://::1 ssh://[] ssh://[ ssh://[::1 ssh://[::1]x ssh://[::1]: ssh://[::1]:0
ssh://[-oX] ssh://[x:y] ssh://[::1%$(id)] [::1%;id] ssh://-u@[::1] ssh://@[::1] -u@[::1] ssh://[::1]/x ssh://[[::1]]
"""
UNSEEN = ["", " ", "h h", "h\t", "h\nx", "h\x1b[31m", "h\u202eg", "h\u00a0", "h\udc80"]


@pytest.mark.parametrize("host", GOOD.split())
def test_a_destination_that_ssh_takes_is_passed_as_it_is(host: str) -> None:
    assert check_host(host) is host
    assert destination(host) == ((), host)


@pytest.mark.parametrize(("host", "told"), IN_BRACKETS.items())
def test_an_address_in_brackets_is_told_as_openssh_knows_it(host: str, told: tuple[tuple[str, ...], str]) -> None:
    assert check_host(host) is host
    assert destination(host) == told
    assert by_hand(host) == " ".join((*told[0], told[1]))


@pytest.mark.parametrize("host", BAD.split() + UNSEEN)
def test_what_could_be_an_option_or_reach_a_shell_is_refused(host: str) -> None:
    with pytest.raises(BadRequest) as refused:
        check_host(host)
    assert str(refused.value).isprintable()
    (captured,) = capture_hosts([host], RemoteOptions())
    assert captured.reason == str(refused.value)
    assert captured.host.isprintable()
