# Settings that every node shares; addresses and peers come from the command line, see README.rst.
data_dir           = "/consul/data"
client_addr        = "127.0.0.1"
leave_on_terminate = false # a node that is restarted comes back; of one that is retired others are told by `consul force-leave`
disable_update_check = true
enable_script_checks = false # anybody who may talk with the agent could run commands otherwise
performance {
  raft_multiplier = 1 # elect a leader within seconds; small clusters on one network
}
autopilot {
  cleanup_dead_servers = false # a node that was away for a moment has its vote as soon as it is back, not 10 s later: the next may fail then
}
