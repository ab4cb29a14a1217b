// The page in English; zh.js has the same keys.

export default {
    'page.Console': 'Overview',
    'page.Topics': 'Topics',
    'page.Clients': 'Clients',
    'page.Messages': 'Messages',
    'page.Send': 'Send & listen',
    'page.Configuration': 'Configuration',
    'page.Cluster': 'Cluster',
    'page.Access': 'Access',
    'page.Unknown': 'Page not found',
    'unknown.title': 'There is no page “{name}”.',
    'unknown.toFirst': 'Go to the overview',

    'nav.pages': 'Pages',
    'nav.skip': 'Skip to content',
    'nav.signOut': 'Sign out',
    'choice.language': 'Language',
    'choice.theme': 'Theme',
    'theme.auto': 'Auto',
    'theme.light': 'Light',
    'theme.dark': 'Dark',

    'login.key': 'Key or token',
    'login.help': 'The secretKey of application.yaml, a key from its list '
        + 'that may see the console, or a token. It is kept until this tab is '
        + 'closed.',
    'login.signIn': 'Sign in',
    'login.wrong': 'This key is wrong, or this token has expired.',
    'login.forbidden': 'This key has no right to the console.',
    'login.tooMany': 'Too many wrong keys were tried. Try again in a minute.',
    'login.rejected': 'The key is no longer accepted. Sign in again.',

    'action.cancel': 'Cancel',
    'action.close': 'Close',
    'action.again': 'Try again',
    'action.delete': 'Delete',
    'action.requeue': 'Requeue',
    'action.release': 'Release now',
    'action.resend': 'Edit and send again',
    'action.copied': 'Copied',

    'state.loading': 'Loading',
    'error.lost': 'The server is not responding. Numbers are as of {time}; '
        + 'retrying …',
    'error.connection': 'The server is not responding.',
    'error.status': 'The server answered with status {status}.',
    'error.retrying': 'Retrying; what you see may be out of date.',
    'list.partial': 'There are more than these; narrow the search to see them.',
    'list.asOf': 'As of {time}',
    'list.old': 'As of {time}, {age} ago: it may have changed.',
    'list.refresh': 'Refresh',
    'table.actions': 'Actions',
    'table.allColumns': 'All columns',
    'table.shown': 'Showing {n} of {all}',
    'table.more': 'Show more',
    'chart.asTable': 'As a table',
    'chart.time': 'Time',
    'chart.right': '{label} (right)',
    'chart.soFar': '{time}, so far',
    'chart.now': '{time}, so far: {values}',
    'chart.value': '{label} {n}',

    'unit.perSecond': '{n}/s',
    'unit.day': '{n} d',
    'unit.hour': '{n} h',
    'unit.minute': '{n} min',
    'unit.second': '{n} s',

    'count.Waiting': 'Waiting',
    'count.InFlight': 'In flight',
    'count.Retrying': 'Retrying',
    'count.Delayed': 'Delayed',
    'count.Consumed': 'Consumed',
    'count.Dead': 'Dead',
    'count.Published': 'Published',
    'count.Delivered': 'Delivered',
    'count.Confirmed': 'Confirmed',
    'count.Backlog': 'Backlog',
    'count.Consumers': 'Consumers',
    'count.Producers': 'Producers',

    'overview.now': 'Messages now',
    'overview.noneWaits': 'Nothing waiting',
    'overview.oldest': 'Oldest: {age}, in {topic}',
    'overview.failures': 'Waiting for the next try; {n} failed '
        + '{n|delivery|deliveries} in total',
    'overview.history': 'Kept as history',
    'overview.rates': 'Traffic',
    'overview.Published': '{n} in total, {refused} refused',
    'overview.Delivered': '{n} in total, {again} redelivered',
    'overview.Confirmed': '{n} in total',
    'overview.clients': 'Clients',
    'overview.producersConsumers': '{producers} '
        + '{producers|producer|producers}, {consumers} '
        + '{consumers|consumer|consumers}',
    'overview.resting': '{n} resting: a message was not confirmed in time',
    'overview.server': 'Server',
    'overview.memory': 'Memory for messages',
    'overview.memoryOf': 'of {size}; {history} of history is freed when needed',
    'overview.notGrowing': 'The backlog is not growing',
    'overview.disk': 'Disk',
    'disk.mode0': 'Not used',
    'disk.mode1': 'Every {s} s',
    'disk.mode2': 'Before each ok',
    'disk.none': 'Messages are kept in memory only',
    'disk.failing': 'Failing',
    'disk.flush': 'Last flush: {time}',
    'disk.checkpoint': 'Checkpoint: {time}, {size}; journal since: '
        + '{journal}',
    'disk.noCheckpoint': 'No checkpoint yet; journal: {journal}',
    'overview.workers': 'Workers',
    'overview.keeper': 'Worker {n} does the housekeeping',
    'overview.retiring': '{n} more shutting down',
    'overview.repairs': 'repaired {n} {n|time|times} after a crash',
    'overview.since': 'KapokMQ {version}, queue since {time}',
    'overview.growth': 'Growth',
    'overview.week': 'Messages per day, last 7 days',
    'overview.full': 'Queue full ({n} of {max})',
    'overview.countLasts': 'At this rate full in about {time}',
    'overview.lasts': 'At this rate used up in about {time}',
    'overview.live': 'Messages per second, live',
    'overview.hour': 'Messages per minute, last hour',
    'state.any': 'Any state',
    'state.noConsumers': 'Waiting, no consumers',
    'state.waiting': 'Waiting',
    'state.inFlight': 'In flight',
    'state.retrying': 'Retrying',
    'state.delayed': 'Delayed',
    'state.dead': 'Dead',
    'state.paused': 'Paused',
    'state.resting': 'Resting',
    'state.silent': 'Not answering',

    'health.title': 'What needs attention',
    'health.unknown': 'Status unknown: the server is not responding.',
    'health.good': 'The queue is healthy.',
    'health.disk': 'Nothing can be written to disk: {error}',
    'health.full': 'Queue full ({n} of {max}): producers are held back',
    'health.nearlyFull': 'Queue nearly full ({n} of {max})',
    'health.memory': 'Memory nearly used up: {free} of {size} left',
    'health.nearlyMemory': 'Memory is getting short: {free} of {size} left',
    'health.alone': 'The settings count on several machines ({keys}), and this '
        + 'queue is on one: kapokmq_cluster in nginx.conf',
    'health.noConsumers': '{count} {count|topic has|topics have} messages '
        + 'waiting, but no consumers',
    'health.of.noConsumers': '{topic}: {n} waiting, no consumers, oldest '
        + '{age}',
    'health.paced': '{n} messages waiting: at most {count} are delivered every '
        + '{seconds} s (sendCount, pushMessagesSpeed)',
    'health.slow': '{count} {count|topic is|topics are} not keeping up',
    'health.of.slow': '{topic}: {n} waiting, oldest {age}',
    'health.paused': '{count} {count|topic is paused and has|topics are paused '
        + 'and have} messages waiting',
    'health.of.paused': '{topic}: {n} waiting, oldest {age}',
    'health.stuck': '{count} {count|consumer is|consumers are} stuck with a '
        + 'message',
    'health.of.stuck': '{id} on {topic}: for {age}',
    'health.silent': '{count} {count|client is|clients are} not answering',
    'health.of.silent': '{id} on {topic}',
    'health.resting': '{count} {count|consumer is|consumers are} resting: a '
        + 'message was not confirmed in time',
    'health.of.resting': '{id} on {topic}',
    'health.dead': '{n} dead {n|message|messages}',
    'health.of.dead': '{topic}: {n} dead',
    'health.more': 'and {n} more',

    'errno.2': 'the directory is gone',
    'errno.5': 'the disk fails (input/output error)',
    'errno.13': 'permission denied',
    'errno.24': 'too many open files',
    'errno.27': 'the file is too large',
    'errno.28': 'the disk is full',
    'errno.30': 'the file system is read-only',
    'errno.122': 'the disk quota is used up',

    // what the server says, by its own words
    'server.The key has no right to change what concerns all topics':
        'This key may not change what concerns all topics.',
    'server.There is no cluster':
        'This queue is on one machine: there is no cluster.',
    'server.There is no primary at the moment':
        'The cluster has no primary at the moment.',
    'server.There is no memory': 'The server has no memory for this.',
    'server.No other node has all that this one has':
        'No other node has all that the primary has.',
    'server.This node is not primary': 'This node is not primary any more.',
    'server.The node has not answered':
        'The primary has not answered in time.',
    'server.The primary cannot be reached': 'The primary cannot be reached.',
    'server.The primary has not answered in time':
        'The primary has not answered in time.',
    'server.There is no such topic': 'This topic does not exist (any more).',
    'server.There is no such message':
        'This message does not exist (any more).',
    'server.There is no such connection':
        'This client is not connected any more.',
    'server.There is no such console function':
        'The server does not know this function: it may be older '
        + 'than this page.',
    'server.The message is not dead':
        'The message is not dead, so it cannot be requeued.',
    'server.The message is not delayed, and does not wait for its next try':
        'The message does not wait for a time, so it cannot be released.',
    'server.The queue is full':
        'The queue is full. Try again when messages have been consumed.',
    'server.The queue has no memory left':
        'The queue’s memory is used up. Try again when messages have '
        + 'been consumed.',
    'server.The queue is not available':
        'The queue is not available: the server is starting or stopping.',
    'server.The request is too large': 'The request is too large.',
    'server.The request could not be read':
        'The server could not read the request.',
    'server.The request is not allowed here':
        'This request is not allowed here.',
    'server.Required data cannot be empty': 'A topic is required.',
    'server.Secret key matching error': 'The key is wrong.',
    'server.The token has expired': 'The token has expired.',
    'server.There were too many wrong keys':
        'Too many wrong keys were tried. Try again in a minute.',
    'server.Pages of this origin are not allowed here':
        'This page’s address is not allowed by kapokmq_cors_origin.',
    'server.The key has no right to this topic':
        'This key has no right to this topic.',
    'server.The key has no right to what concerns all topics':
        'This key has no right to what concerns all topics.',
    'server.The key has no right to change anything':
        'This key may not change anything.',
    'server.The key has no right to the console':
        'This key has no right to the console.',
    'server.Nobody has a right to this': 'Nobody has a right to this.',
    'server.messageData is larger than maxMessageSize':
        'The message is larger than maxMessageSize allows.',
    'server.messageData is too large for the zone':
        'The message is too large for the queue’s memory.',
    'server.topic is longer than 255 bytes':
        'The topic’s name is longer than 255 bytes.',
    'server.topic has a zero byte': 'The topic’s name has a zero byte in it.',
    'server.The request has no valid credentials':
        'nginx asks for other credentials.',
    'server.There is nothing of that name': 'There is nothing at this address.',
    'server.The request did not come in time':
        'The request did not come in time.',
    'server.The request is not valid': 'The request is not valid.',
    'server.the first': 'First start',
    'server.the one before stepped down': 'The one before stepped down',
    'server.the one before was not heard':
        'The one before was not heard any more',
    'server.JetStream does not answer': 'JetStream is not answering.',
    'server.the stream is not there any more':
        'The stream does not exist any more.',
    'server.the stream ends before what was read of it':
        'The stream ends before what this node has read of it.',
    'server.no checkpoint was found in the stream':
        'There is no checkpoint in the stream.',
    'server.its files are of a queue without a cluster':
        'This node’s files are those of a queue without a cluster.',
    'server.the stream lacks what nodes had':
        'The stream lacks what nodes had.',
    'server.no connection to NATS': 'No connection to NATS.',
    'server.the stream does not acknowledge':
        'The stream does not acknowledge.',
    'server.the stream has no leader': 'The stream has no leader.',
    'server.the stream does not take it': 'The stream does not accept entries.',
    'server.no primary is heard': 'No primary is heard.',
    'server.not all nodes have been heard since the start':
        'Not all nodes have been heard since the start.',
    'server.of.nats': 'No connection to NATS: {why}.',
    'server.of.unacknowledged': 'The stream does not acknowledge: {why}.',
    'server.of.stream': 'The stream: {why}.',
    'server.of.unheard': 'No stream is made from this node’s files before '
        + 'all nodes have been heard.',
    'server.of.seed': 'No stream is made from this node’s files, since those '
        + 'of node {node} reach further.',
    'server.of.inFlight': 'Not in flight with this page any more.',
    'server.of.notStored': 'The message was not stored: {why}.',
    'server.of.value': '{name} cannot be “{value}”.',
    'server.of.name': '{name} has a value that is not allowed.',
    'server.of.missing': '{name} is required.',
    'server.of.parameter': 'The server does not know the parameter “{name}”.',
    'server.of.text': '{name} is not valid text (UTF-8).',

    'topic.name': 'Topic',
    'topic.type': 'Push type',
    'pushType.1': 'Point to point',
    'pushType.2': 'Publish/subscribe',
    'topic.in': 'In',
    'topic.out': 'Out',
    'topic.oldest': 'Oldest waiting',
    'topic.oldestFor': 'Oldest: {age}',
    'topic.never': 'Never',
    'topic.unlimited': 'No limit',
    'topic.fortnight': 'Messages per day, last 14 days',
    'topic.fortnightUtc': 'Messages per UTC day (from {time} here), last 14 '
        + 'days',
    'topic.unknown': 'This topic does not exist.',
    'topic.forbidden': 'This key has no right to this topic.',
    'topic.allowed': 'This key may use: {topics}',
    'topic.toTopics': 'All topics',
    'topic.toMessages': 'Messages of this topic',
    'topic.requeueDead': 'Requeue dead messages',
    'topic.requeueTitle': 'Requeue the dead messages of {topic}?',
    'topic.requeueAsk': '{n} dead {n|message|messages} will wait again, as if '
        + 'new.',
    'topic.requeued': '{n} {n|message|messages} requeued',
    'topic.clients': 'Clients of this topic',
    'topic.allClients': 'All clients of this topic',
    'topic.dead': '{n} dead',
    'topic.allDead': 'All dead messages of this topic',
    'topic.pause': 'Pause delivery',
    'topic.resume': 'Resume delivery',
    'topic.paused': 'Paused',
    'topic.pauseTitle': 'Pause the delivery of {topic}?',
    'topic.pauseAsk': 'Its consumers get nothing new until you resume it, also '
        + 'after a restart. Messages keep coming and wait; what is in flight '
        + 'can be confirmed.',
    'topic.pausedNow': 'Delivery paused',
    'topic.resumedNow': 'Delivery resumed',
    'topic.isPaused': 'Delivery is paused: consumers get nothing new until it '
        + 'is resumed.',
    'purge.of': '{n} {kind}',
    'topic.purge': 'Purge',
    'topic.purgeTitle': 'Purge {topic}?',
    'topic.purgeWhich': 'Which messages',
    'topic.purgeAsk': '{n} {n|message|messages} of {topic} will be deleted. '
        + 'This cannot be undone.',
    'topic.purgeNow': 'Delete them',
    'topic.purged': '{n} {n|message|messages} deleted',
    'purge.Waiting': 'Waiting and in flight',
    'purge.Delayed': 'Delayed',
    'purge.Consumed': 'Consumed',
    'purge.Dead': 'Dead',
    'purge.All': 'All',

    'topics.search': 'Search topics',
    'topics.none': 'No topics yet',
    'topics.noneFound': 'No topics match “{search}”',
    'topics.noneInState': 'No matching topics',
    'topics.first': 'A topic is created by its first message, producer or '
        + 'consumer:',
    'topics.toSend': 'Or send one from this page',

    'client.id': 'Id',
    'client.role': 'Role',
    'role.any': 'Producers and consumers',
    'role.producer': 'Producer',
    'role.consumer': 'Consumer',
    'client.address': 'Address',
    'client.user': 'Key or user',
    'client.since': 'Since',
    'client.lastSeen': 'Last seen',
    'client.messages': 'Messages',
    'client.rate': 'Rate',
    'client.confirm': 'Confirm mode',
    'client.transport': 'Transport',
    'transport.websocket': 'WebSocket',
    'transport.events': 'Events',
    'transport.pull': 'Pull',
    'client.leased': 'Leased',
    'client.about.leased': 'It pulled messages, and holds them until they are '
        + 'settled or their leases end.',
    'client.parked': 'Parked',
    'client.about.parked': 'Its event stream has ended; it may reconnect to '
        + 'what it had.',
    'client.oldest': 'Oldest in flight',
    'client.state': 'State',
    'client.resting': 'Resting',
    'client.about.resting': 'It did not confirm a message in time, and gets '
        + 'no new ones while another consumer of the topic can take them.',
    'client.silent': 'Missed a heartbeat',
    'client.about.silent': 'It was pinged and has not answered: it is busy or '
        + 'hangs.',
    'client.disconnect': 'Disconnect',
    'client.disconnectId': 'Disconnect {id}',
    'client.ask.producer': '{id}, which sends to {topic}, will be '
        + 'disconnected. It may connect again.',
    'client.ask.consumer': '{id}, which listens to {topic}, will be '
        + 'disconnected; what it has in flight ({n}) goes to others. It may '
        + 'connect again.',
    'client.disconnected': '{id} is being disconnected.',
    'clients.search': 'Id, topic, address or user',
    'clients.none': 'No clients connected',
    'clients.noneFound': 'No matching clients',
    'clients.how': 'Producers connect to /Producers/Conn/TOPIC/ID, consumers '
        + 'to /Consumers/Conn/TOPIC/ID.',

    'status.3': 'Any',
    'status.-1': 'Waiting',
    'status.0': 'Delayed',
    'status.1': 'Consumed',
    'status.2': 'Dead',
    'status.4': 'Ready',
    'status.5': 'In flight',
    'status.6': 'Retrying',
    'order.newest': 'Newest first',
    'order.oldest': 'Oldest first',
    'messages.from': 'Created from',
    'messages.to': 'Created until',
    'messages.search': 'Search',
    'messages.caption.newest': 'Messages, newest first',
    'messages.caption.oldest': 'Messages, oldest first',
    'messages.order': 'Order',
    'messages.inData': 'Text in the data',
    'messages.noneYet': 'No matching messages so far',
    'messages.looked': '{n} found; the data of {looked} '
        + '{looked|message|messages} searched',
    'messages.stop': 'Stop',
    'messages.on': 'Continue searching',
    'messages.chooseAll': 'Select all that are shown',
    'messages.chosen': '{n} selected',
    'messages.requeue': 'Requeue {n} dead',
    'messages.requeued': '{n} of {all} {all|message|messages} requeued',
    'messages.release': 'Release {n} now',
    'messages.released': '{n} of {all} {all|message|messages} released',
    'messages.delete': 'Delete {n}',
    'messages.deleteTitle': 'Delete {n} {n|message|messages}?',
    'messages.deleteAsk': '{n} {n|message|messages} will be deleted and not '
        + 'delivered. This cannot be undone.',
    'messages.deleted': '{n} of {all} {all|message|messages} deleted',
    'messages.export': 'Export {n}',
    'messages.none': 'No matching messages',
    'messages.noneHelp': 'Consumed messages are kept while there is memory, '
        + 'unless isCleanConsumed is 1.',
    'messages.shown': '{n} shown',
    'messages.more': 'Load more',
    'message.title': 'Message',
    'message.show': 'Show message {code}',
    'message.status': 'Status',
    'message.choose': 'Select message {code}',
    'message.age': 'Age',
    'message.createdAt': 'Created {time}',
    'message.preview': 'Data',
    'message.next': 'Next try or due',
    'message.created': 'Created',
    'message.size': 'Size',
    'message.attempts': 'Attempts',
    'message.lastError': 'Last error',
    'failure.end': 'Consumer disconnected',
    'failure.return': 'Returned by the consumer',
    'failure.overdue': 'Not confirmed in time',
    'message.nextTry': 'Next try',
    'message.suspect': 'Suspect',
    'message.suspectText': 'It may have crashed its consumer, so it is '
        + 'delivered alone next time',
    'message.delay': 'Delay',
    'message.due': 'Due',
    'message.consumed': 'Consumed',
    'message.died': 'Dead since',
    'message.consumer': 'In flight with',
    'message.data': 'Data',
    'message.noData': 'Empty',
    'message.cut': 'Showing {n} of {all} characters',
    'message.showAll': 'Show all',
    'message.copyCode': 'Copy code',
    'message.copyData': 'Copy data',
    'message.deleteTitle': 'Delete this message?',
    'message.deleteAsk': 'It will be removed from {topic} and not be '
        + 'delivered. This cannot be undone.',
    'message.deleted': 'Message deleted',
    'message.requeued': 'Message requeued',
    'message.released': 'Message released',
    'message.gone': 'This message does not exist (any more).',

    'send.intro': 'Listen to a topic on this page, then send a message to it: '
        + 'it appears here, and stays in the queue.',
    'send.title': 'Send',
    'send.delay': 'Delay in seconds',
    'send.send': 'Send message',
    'send.accepted': 'Accepted: {code}',
    'resend.title': 'Edit and send again',
    'resend.remove': 'Delete the original afterwards',
    'listen.title': 'Listen',
    'listen.mode': 'Messages that arrive',
    'listen.mode.peek': 'Look only: all are given back',
    'listen.mode.pong': 'Take: consumed when they arrive (pong)',
    'listen.mode.ack': 'Take by hand: consumed when you confirm them (ack)',
    'listen.effects': 'What this does to others',
    'listen.takes': 'Takes messages: nobody else gets what arrives here.',
    'listen.takesWaiting': '{n} waiting {n|message|messages} will be taken.',
    'listen.takesFrom': '{others} {others|consumer|consumers} will miss what '
        + 'is taken here.',
    'listen.takesCopy': 'Publish/subscribe: each consumer has a copy of its '
        + 'own, so this takes nothing from others.',
    'listen.peeksWaiting': '{n} {n|message is|messages are} waiting: you see '
        + 'the oldest {max} until others consume them.',
    'listen.peeksFrom': '{others} {others|consumer|consumers} will get what '
        + 'you look at a moment later, and you see only a part of it.',
    'listen.peeksCopy': 'Publish/subscribe: you see a copy; others get theirs '
        + 'as always.',
    'listen.start': 'Start listening',
    'listen.stop': 'Stop',
    'listen.stopping': 'Stopping …',
    'listen.off': 'Not listening.',
    'listen.connecting': 'Connecting …',
    'listen.on': 'Listening.',
    'listen.again': 'Connection lost; connecting again …',
    'listen.count': '{n} {n|message|messages} so far',
    'listen.ended': 'Listening ended: {reason}',
    'close.1006': 'the server did not accept the connection',
    'close.disconnected by an operator': 'disconnected by an operator',
    'close.token expired': 'the token has expired',
    'close.the key is not valid any more': 'the key is not valid any more',
    'close.too many wrong secret keys': 'too many wrong keys',
    'close.no secret key came in time': 'no key came in time',
    'listen.noAddress': 'A topic with a slash in its name, or called “.” or '
        + '“..”, cannot be part of a consumer’s path, so this page cannot '
        + 'listen to it. Consumers can where a location has “topic=”.',
    'listen.error': 'Not confirmed: {error}',
    'listen.attempt': 'Attempt {n}',
    'listen.list': 'Messages that arrived, newest first',
    'listen.confirm': 'Confirm',
    'listen.confirmed': 'Confirmed',

    'config.intro': 'Settings of application.yaml. “nginx -s reload” applies '
        + 'changes.',
    'config.key': 'Key',
    'config.value': 'Value',
    'config.default': 'Default',
    'config.where': 'Set in',
    'config.meaning': 'Meaning',
    'config.place': '{file}, line {line}',
    'config.topics': 'Topics with settings of their own',
    'config.secret.default': 'the published default: change it',
    'config.secret.set': 'set',

    'cluster.now': 'Now',
    'cluster.all': 'All nodes',
    'cluster.node': 'Node',
    'cluster.role': 'Role',
    'cluster.address': 'Address',
    'cluster.epochs': 'Epoch',
    'cluster.lag': 'Entries behind',
    'cluster.heard': 'Last heard',
    'cluster.this': '{name} (this one)',
    'cluster.gone': 'not heard from',
    'cluster.role.starting': 'starting',
    'cluster.role.standby': 'standby',
    'cluster.role.taking-over': 'taking over',
    'cluster.role.primary': 'primary',
    'cluster.role.paused': 'primary, paused',
    'cluster.role.deposed': 'stepping down',
    'cluster.role.unknown': 'unknown',
    'cluster.primary': 'Primary',
    'cluster.epoch': 'Epoch {n}',
    'cluster.nodes': 'Nodes',
    'cluster.of': '{n} of {all}',
    'cluster.self': '{name} answers: {role} since {time}',
    'cluster.stream': 'Replicas with all entries',
    'cluster.leader': 'Leader of the stream: {name}',
    'cluster.size': '{n} {n|entry|entries}, {size}',
    'cluster.takeovers': 'Last takeovers',
    'cluster.noTakeovers': 'None since this nginx was started.',
    'cluster.time': 'Time',
    'cluster.lasted': 'Took',
    'cluster.why': 'Why',
    'cluster.good': 'All nodes are up and have all entries.',
    'cluster.line': '{primary} is primary; {n} of {all} nodes are up.',
    'cluster.blocked':
        'The stream lacks what nodes have, so no node becomes primary by '
        + 'itself. The files of {node} reach furthest. {reason}',
    'cluster.noPrimary': 'There is no primary. {reason}',
    'cluster.paused':
        'The primary is paused: it pushes nothing until the stream '
        + 'acknowledges again. {reason}',
    'cluster.away': 'Not heard from: {nodes}.',
    'cluster.replicas':
        'Only {n} of {all} replicas of the stream have all of it.',
    'cluster.lacks': 'The stream lacks what these nodes had: {nodes}.',
    'cluster.differs': 'Other settings than {self} have: {nodes}.',
    'cluster.step': 'Step down',
    'cluster.stepTitle': 'Make {name} step down?',
    'cluster.stepAsk':
        'Another node becomes primary within about a second. Clients '
        + 'are told to reconnect; nothing is lost.',
    'cluster.stepped': '{name} takes over.',

    'access.own': 'Your permissions',
    'access.kind': 'Signed in with',
    'kind.secretKey': 'The secret key',
    'kind.key': 'A key',
    'kind.token': 'A token',
    'access.name': 'Name',
    'access.id': 'Only with the id',
    'access.produce': 'Produce to',
    'access.consume': 'Consume from',
    'access.console': 'Console',
    'access.none': 'No',
    'access.read': 'See',
    'access.write': 'See and change',
    'access.metrics': 'Metrics',
    'access.yes': 'Yes',
    'access.no': 'No',
    'access.keys': 'Keys',
    'access.keysIntro': 'Keys of application.yaml; a name leads to the '
        + 'clients that use it. A connection counts as a use when it is '
        + 'opened.',
    'access.lastUse': 'Last use',
    'access.value': 'Value {n}:',
    'access.never': 'Not since nginx started',
    'access.tokens': 'Tokens',
    'access.tokensOn': 'Tokens of your own server are accepted.',
    'access.tokensOff': 'No tokens are accepted.',
    'access.noPage': 'This key has no right to this page.',

    'setting.secretKey.text': 'The key that may do everything.',
    'setting.pushType.text': '1: a message goes to one consumer of its topic; '
        + '2: to all of them.',
    'setting.messageChanBuffer.text': 'How many messages may wait; beyond '
        + 'that producers are held back.',
    'setting.pushMessagesSpeed.text': 'Seconds between two batches; 0: no '
        + 'pacing.',
    'setting.sendCount.text': 'Messages of a batch, over all topics.',
    'setting.pushCount.text': 'Another name for sendCount.',
    'setting.sendRetryCount.text': 'How many further consumers are tried at '
        + 'once when a push fails.',
    'setting.persistentFile.text': 'The directory of the data files.',
    'setting.isPersistent.text': 'What survives a crash: 0 nothing, 1 all but '
        + 'the last persistentTime seconds, 2 everything.',
    'setting.recoveryStrategy.text': 'At a start: 1 reads the data files, 0 '
        + 'sets them aside.',
    'setting.persistentTime.text': 'Seconds between two writes.',
    'setting.isRePush.text': '1: push again what was not confirmed in time.',
    'setting.pushRetryTime.name': 'Re-push after',
    'setting.pushRetryTime.text': 'Seconds without a confirmation before a '
        + 'message is pushed again.',
    'setting.maxDeliveries.name': 'Failures before it is dead',
    'setting.maxDeliveries.text': 'Failed deliveries before a message is '
        + 'dead; 0: no limit.',
    'setting.retryDelay.name': 'Retry delay',
    'setting.retryDelay.text': 'Seconds that a message waits after a failure, '
        + 'doubled with each; 0: none.',
    'setting.retryDelayMax.name': 'Retry delay at most',
    'setting.retryDelayMax.text': 'The longest wait, in seconds. A suspect is '
        + 'alone with a consumer, and a consumer rests, for as long at most.',
    'setting.isClean.text': '1: delete messages that are older than '
        + 'cleanTime.',
    'setting.cleanTime.name': 'Deleted after',
    'setting.cleanTime.text': 'Seconds after which isClean deletes messages.',
    'setting.isCleanConsumed.text': '1: delete messages as soon as they are '
        + 'consumed; 0: keep them as history while there is memory.',
    'setting.checkSpeed.text': 'Seconds between two checks for expired '
        + 'messages.',
    'setting.confirm.name': 'Confirm mode',
    'setting.confirm.text': 'When a message counts as consumed: socket, pong '
        + 'or ack.',
    'setting.prefetch.name': 'Prefetch',
    'setting.prefetch.text': 'Unconfirmed messages that a consumer may hold.',
    'setting.maxMessageSize.text': 'The largest message, in bytes.',
    'setting.heartbeat.name': 'Heartbeat',
    'setting.heartbeat.text': 'Seconds without traffic after which a client is '
        + 'pinged; 0: never.',
    'setting.loginTime.text': 'Seconds that a client has for the right key.',
    'setting.drainTime.text': 'Seconds over which a reload closes the clients '
        + 'of the old workers.',
};
