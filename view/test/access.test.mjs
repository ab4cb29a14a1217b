import assert from 'node:assert/strict';
import { test } from 'node:test';
import { covers, firstTopic, listenTopics, mayChange, mayOpen, mayStepDown, placeOf,
    sendTopics, titleOf } from '../src/access.js';
import { PAGES } from '../src/router.js';

const access = (changes = {}) => ({
    Kind: 'key',
    Name: 'shop',
    Id: null,
    Console: 'read',
    All: false,
    Metrics: false,
    Produce: [],
    Consume: [],
    ...changes,
});

const everything = access({ Kind: 'secretKey', Console: 'write', All: true,
    Metrics: true, Produce: ['*'], Consume: ['*'], Cluster: true });

const pages = (of) => PAGES.filter((page) => mayOpen(of, page));

test('a topic is meant literally, but for a * at its end', () => {
    assert.ok(covers(['orders'], 'orders'));
    assert.ok(!covers(['orders'], 'orders.new'));
    assert.ok(!covers(['orders'], 'Orders'));
    assert.ok(covers(['orders.*'], 'orders.new.eu'));
    assert.ok(covers(['orders.*'], 'orders.'));
    assert.ok(!covers(['orders.*'], 'orders'));
    assert.ok(covers(['a', '*'], 'anything'));
    assert.ok(!covers(['a*b'], 'axb'));
    assert.ok(covers(['a*b'], 'a*b'));
    assert.ok(!covers([], ''));
});

test('the secret key is offered everything', () => {
    assert.deepEqual(pages(everything), PAGES);
    assert.ok(mayChange(everything, 'orders'));
    assert.equal(titleOf(everything, 'Send'), 'page.Send');
});

test('the whole queue is for keys of all topics', () => {
    assert.deepEqual(pages(access({ Consume: ['orders'] })),
        ['Topics', 'Clients', 'Messages', 'Send', 'Access']);
    assert.deepEqual(pages(access({ All: true, Consume: ['*'] })),
        PAGES.filter((page) => page !== 'Cluster'));
});

test('a cluster is shown where there is one, to keys of all topics', () => {
    assert.ok(mayOpen(everything, 'Cluster'));
    assert.ok(!mayOpen({ ...everything, Cluster: undefined }, 'Cluster'));
    assert.ok(!mayOpen({ ...everything, All: false }, 'Cluster'));
    assert.ok(mayStepDown(everything));
    assert.ok(!mayStepDown({ ...everything, Console: 'read' }));
    assert.ok(!mayStepDown({ ...everything, All: false }));
});

test('who may use no topic is offered neither sending nor listening', () => {
    assert.deepEqual(pages(access()),
        ['Topics', 'Clients', 'Messages', 'Access']);
});

test('only what may be changed is offered for changes', () => {
    const clerk = access({ Console: 'write', Produce: ['orders.*'],
        Consume: ['mails'] });

    assert.ok(mayChange(clerk, 'orders.new'));
    assert.ok(mayChange(clerk, 'mails'));
    assert.ok(!mayChange(clerk, 'bills'));
    assert.ok(!mayChange({ ...clerk, Console: 'read' }, 'mails'));
});

test('sending from the page needs both rights, listening one', () => {
    const topics = { Produce: ['in'], Consume: ['out'] };

    assert.deepEqual(sendTopics(access(topics)), []);
    assert.deepEqual(sendTopics(access({ ...topics, Console: 'write' })),
        ['in']);
    assert.deepEqual(listenTopics(access(topics)), ['out']);
    assert.equal(titleOf(access(topics), 'Send'), 'listen.title');
    assert.equal(titleOf(access({ Console: 'write', Produce: ['in'] }),
        'Send'), 'send.title');
});

test('a void id is nobody\'s', () => {
    const token = access({ Kind: 'token', Id: '', Consume: ['out'] });

    assert.deepEqual(listenTopics(token), []);
    assert.ok(!mayOpen(token, 'Send'));
    assert.deepEqual(listenTopics({ ...token, Id: 'anna' }), ['out']);
});

test('one begins with a topic that is allowed', () => {
    assert.equal(firstTopic(['*']), 'hello');
    assert.equal(firstTopic(['orders.*', 'hello']), 'hello');
    assert.equal(firstTopic(['orders.*']), 'orders.hello');
    assert.equal(firstTopic(['mails', 'orders.*']), 'mails');
    assert.equal(firstTopic([]), '');
});

test('who may not see the overview begins with the topics', () => {
    const overview = { page: 'Console', parameter: '' };
    const settings = { page: 'Configuration', parameter: '' };

    assert.deepEqual(placeOf(everything, overview), overview);
    assert.deepEqual(placeOf(access(), overview),
        { page: 'Topics', parameter: '', query: {} });
    assert.deepEqual(placeOf(access(), settings), settings);
});
