"""What each step does, as a table from the step's class to a function ``(context, step)``.

The functions are grouped by phase, as an operation has them: prepare, switch, start, after; takeover and migrate have what only they do.
Each may be called twice for one step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from handler.actions import after, migrate, prepare, start, switch, takeover
from handler.context import Context
from handler.core import steps as s

Action = Callable[[Context, Any], None]

ACTIONS: dict[type[s.Step], Action] = {
    s.FetchCode: prepare.fetch_code,
    s.CheckApp: prepare.check_app,
    s.ClaimNames: prepare.claim_names,
    s.PullImages: prepare.pull_images,
    s.BuildImages: prepare.build_images,
    s.PrepareRoutes: prepare.prepare_routes,
    s.SettleRoutes: prepare.settle_routes,
    s.SayPrepared: prepare.say_prepared,
    s.AwaitSends: switch.await_sends,
    s.PreCopy: switch.pre_copy,
    s.AwaitPrepared: switch.await_prepared,
    s.HoldRequests: switch.hold_requests,
    s.StopApp: switch.stop_app,
    s.SnapshotVolumes: switch.snapshot_volumes,
    s.SendSnapshots: switch.send_snapshots,
    s.SayReleased: switch.say_released,
    s.AwaitOutcome: switch.await_outcome,
    s.AwaitTrialGone: switch.await_trial_gone,
    s.LiftHold: switch.lift_hold,
    s.AwaitStopped: takeover.await_stopped,
    s.SayStopped: takeover.say_stopped,
    s.SnapshotOrigin: migrate.snapshot_origin,
    s.SendOrigin: migrate.send_origin,
    s.DropOrigin: migrate.drop_origin,
    s.AwaitReleased: start.await_released,
    s.VerifyCopies: start.verify_copies,
    s.RestoreVolumes: start.restore_volumes,
    s.LoadData: start.load_data,
    s.TakeOwnership: start.take_ownership,
    s.RunPostMigrate: start.run_post_migrate,
    s.RunUpdate: start.run_update,
    s.StartApp: start.start_app,
    s.AwaitHealthy: start.await_healthy,
    s.Commit: start.commit,
    s.CommitDestroy: start.commit_destroy,
    s.StopTrial: start.stop_trial,
    s.DropTrialVolumes: start.drop_trial_volumes,
    s.RegisterService: after.register_service,
    s.DeregisterService: after.deregister_service,
    s.ScheduleCopies: after.schedule_copies,
    s.SchedulePurge: after.schedule_purge,
    s.Unschedule: after.unschedule,
    s.CopyToSlave: after.copy_to_slave,
    s.AwaitVerifiedCopy: after.await_verified_copy,
    s.VerifyFirstCopy: after.verify_first_copy,
    s.WriteHistory: after.write_history,
    s.RemoveContainers: after.remove_containers,
    s.GiveUpOwnership: after.give_up_ownership,
    s.RemoveVolumes: after.remove_volumes,
    s.RemoveCheckouts: after.remove_checkouts,
    s.ForgetCopies: after.forget_copies,
    s.PutCopiesAside: after.put_copies_aside,
    s.ReleaseClaims: after.release_claims,
}
