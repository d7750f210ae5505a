import pytest
from fixtures.live_world import *

pytestmark = pytest.mark.xdist_group("live")

def test_try(world):
    p = world.opened("hospital")
    ids_ = world.publish(p, lab_document(p), lab_document(p, "imaging"))
    with world.refused(of=p):
        a = world.caller("other-physician", p).get(f"/fhir/DocumentReference/{ids_[0]}")
        assert a.status == 403
    print(a.data)
