-- coldplate's part of a Slurm controller: kilowatt licences and excluded nodes for new jobs.
--
-- Put it beside slurm.conf, set JobSubmitPlugins=lua, and let `coldplate slurm sync --write --hint-file FILE` keep it.
-- It runs under the controller's lock: it reads one small file and computes nothing. Whatever is wrong with that file,
-- or when it is over, jobs pass unchanged.
--
-- The file has lines `key=value`:
--   valid_until=1795000000     seconds since 1970; after it the file does not count
--   kw_per_node=5.6            licences that a job takes for each node it asks for (rounded up), unless it names its own
--   kw_per_gpu=1.0             the same for each GPU of --gres=gpu:N or --gpus-per-node=N, in place of kw_per_node
--   exclude=n3,n17             nodes on which no new job may start
--   refuse_above_kw=400        jobs above it are refused, with the message
--   message=words              what a refused user reads

local FILE = os.getenv("COLDPLATE_SLURM_HINTS") or "/run/coldplate-slurm/hints"
local LICENCE = "power_kw"
local UNSET = 4294967294 -- NO_VAL

local function read_hints()
  local file = io.open(FILE, "r")
  if file == nil then return nil end
  local hints = {}
  for line in file:lines() do
    local key, value = line:match("^(%w[%w_]*)=(.*)$")
    if key ~= nil then hints[key] = value end
  end
  file:close()
  local until_s = tonumber(hints.valid_until)
  if until_s == nil or until_s < os.time() then return nil end
  return hints
end

local function nodes_of(job)
  local count = job.min_nodes
  if count == nil or count >= UNSET or count < 1 then return 1 end
  return count
end

local function gpus_of(job)
  local text = (job.tres_per_node or job.gres or "")
  return tonumber(text:match("gpu[%w_:]*:(%d+)")) or tonumber(text:match("gpu:(%d+)")) or 0
end

local function kilowatts(job, hints)
  local gpus, per_gpu = gpus_of(job), tonumber(hints.kw_per_gpu)
  local per_node = tonumber(hints.kw_per_node)
  if gpus > 0 and per_gpu ~= nil then per_node = gpus * per_gpu end
  if per_node == nil then return nil end
  return math.ceil(nodes_of(job) * per_node - 1e-9)
end

local function joined(first, second)
  if first == nil or first == "" then return second end
  return first .. "," .. second
end

local function apply(job, hints)
  local kw = kilowatts(job, hints)
  local limit = tonumber(hints.refuse_above_kw)
  if kw ~= nil and limit ~= nil and kw > limit then
    slurm.log_user(string.format("coldplate: this job would draw %d kW, more than the %d kW that may be started now. %s",
      kw, limit, hints.message or ""))
    return slurm.ERROR
  end
  if kw ~= nil and not (job.licenses or ""):find(LICENCE, 1, true) then
    job.licenses = joined(job.licenses, string.format("%s:%d", LICENCE, kw))
    job.admin_comment = joined(job.admin_comment, string.format("coldplate: %d kW", kw))
  end
  if hints.exclude ~= nil and hints.exclude ~= "" then
    job.exc_nodes = joined(job.exc_nodes, hints.exclude)
  end
  return slurm.SUCCESS
end

function slurm_job_submit(job, partitions, uid)
  local read, hints = pcall(read_hints)
  if not read or hints == nil then return slurm.SUCCESS end
  local done, result = pcall(apply, job, hints)
  if done then return result end
  slurm.log_error("coldplate: job_submit: %s", tostring(result))
  return slurm.SUCCESS
end

function slurm_job_modify(job, record, partitions, uid)
  return slurm.SUCCESS
end

return slurm.SUCCESS
